"""Collects what is known about canaries: signed nights, signals of monitors, traffic.

Signals are claims ``signals/<model>/<digest>``. Traffic is read from the gateway's telemetry:
claims ``telemetry/<gateway>/<date>/…`` that lead to Parquet objects with one row per item.
"""

import io
import logging
from collections.abc import Iterator
from datetime import datetime

from pydantic import ValidationError

from tasks.domain.digest import Digest, digest_of, hexadecimal
from tasks.domain.errors import InvalidInputError, ProofhouseError
from tasks.domain.promotion import model_of
from tasks.domain.signal import Signal
from tasks.ledger.entry import read_digest
from tasks.ledger.nights import night_statement, nights
from tasks.ledger.promotions import slug_of
from tasks.registry.canary import Baseline, QuietNight, Traffic
from tasks.registry.place import RegistryPlace
from tasks.registry.state import ModelState

SIGNALS = "signals/"
TELEMETRY = "telemetry/"
_COLUMNS = ["time", "request", "version", "status"]
_log = logging.getLogger(__name__)


def report_signal(signal: Signal, registry: RegistryPlace) -> Digest:
    """Keeps a signal; the same one twice is one. Returns its digest."""
    if not model_of(signal.asset):
        raise InvalidInputError(f"{signal.asset[:200]!r} is no asset: vendor/name@version.")
    data = signal.canonical()
    digest = digest_of(data)
    registry.store.put(data)
    name = f"{SIGNALS}{slug_of(model_of(signal.asset))}/{hexadecimal(digest)[:32]}"
    registry.store.claim(name, digest.encode())
    return digest


def baseline_of(state: ModelState, registry: RegistryPlace) -> Baseline | None:
    """Returns all that is known about a model's canary; None when it has none."""
    asset = state.held.get("canary")
    if asset is None:
        return None
    began = next(
        link.move.issued
        for link in reversed(state.links)
        if link.move.asset == asset and link.move.alias == "canary"
    )
    champion = state.version(state.held.get("champion", ""))
    canary = state.version(asset)
    assert canary is not None, "who holds an alias is registered"
    runs = {canary.move.run, *([champion.move.run] if champion else [])}
    traffic = _traffic(runs, began, registry)
    return Baseline(
        asset=asset,
        began=began,
        nights=tuple(_nights(asset, began, registry)),
        signals=tuple(_signals(asset, began, registry)),
        canary=traffic[canary.move.run],
        champion=traffic[champion.move.run] if champion else None,
    )


def _nights(asset: str, began: datetime, registry: RegistryPlace) -> Iterator[QuietNight]:
    """Yields the signed nights that began after the canary did and looked at it."""
    for name in nights(registry.store):
        if name[:10] < f"{began:%Y-%m-%d}":
            continue
        found = night_statement(name, registry.store, registry.trust)
        if found is None or datetime.fromisoformat(found[1].started) < began:
            continue
        yield from (
            QuietNight(name, row, found[0]) for row in found[1].assets if row.asset == asset
        )


def _signals(
    asset: str, began: datetime, registry: RegistryPlace
) -> Iterator[tuple[Digest, Signal]]:
    store = registry.store
    for name in store.claims(f"{SIGNALS}{slug_of(model_of(asset))}/"):
        try:
            digest = read_digest(store.claimed(name) or b"", place=name)
            signal = Signal.parse(store.get(digest))
        except (ProofhouseError, ValidationError) as error:
            _log.warning("%s is no signal: %s", name, error)
            continue
        if signal.asset == asset and signal.dated >= began:
            yield digest, signal


def _traffic(runs: set[str], began: datetime, registry: RegistryPlace) -> dict[str, Traffic]:
    """Counts requests by the run that let the answering version in."""
    failed: dict[str, dict[str, bool]] = {run: {} for run in runs}
    for name in registry.store.claims(TELEMETRY):
        if name.split("/")[-2] < f"{began:%Y-%m-%d}":
            continue
        for time, request, version, status in _rows(name, registry):
            if version in failed and time >= began.timestamp():
                failed[version][request] = failed[version].get(request, False) or status >= 500
    return {
        run: Traffic(requests=len(found), failed=sum(found.values()))
        for run, found in failed.items()
    }


def _rows(name: str, registry: RegistryPlace) -> Iterator[tuple[float, str, str, int]]:
    import pyarrow as pa  # noqa: PLC0415 - only who counts traffic pays
    import pyarrow.parquet as pq  # noqa: PLC0415

    store = registry.store
    try:
        digest = read_digest(store.claimed(name) or b"", place=name)
        table = pq.read_table(io.BytesIO(store.get(digest)), columns=_COLUMNS)
        columns = [table.column(column).to_pylist() for column in _COLUMNS]
    except (ProofhouseError, pa.ArrowException, KeyError) as error:
        _log.warning("%s is no telemetry of a gateway: %s", name, error)
        return
    yield from zip(*columns, strict=True)
