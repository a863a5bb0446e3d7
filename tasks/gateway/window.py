"""A window into telemetry: what some accounts asked, sealed batches and what still lies in spools.

Spools are read first, sealed batches after: a spool that is sealed in between is then seen twice,
never missed, and its name says that it is the same one.
"""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.domain.digest import Digest
from tasks.gateway.actions import gateway_folder
from tasks.gateway.telemetry import CLAIMS, read_spool
from tasks.gateway.trails import Row
from tasks.store.protocol import ObjectStore

Wanted = Callable[[Row], bool]


def telemetry_rows(store: ObjectStore, home: Path, wanted: Wanted) -> list[Row]:
    """Returns the rows that are wanted, of every gateway of this home and store, by time.

    Raises:
        StoreError: A batch that was sealed is missing or corrupt.
    """
    waiting = dict(_spools(home))
    sealed = {claim.rpartition("/")[2]: claim for claim in store.claims(CLAIMS)}
    rows = [row for claim in sealed.values() for row in _batch(store, claim) if wanted(row)]
    rows += [
        row for stem, each in waiting.items() if stem not in sealed for row in each if wanted(row)
    ]
    return sorted(rows, key=lambda row: float(row["time"]))


def doings(home: Path) -> list[dict[str, Any]]:
    """Returns what was done to the gateway of a home, and how it was started, line by line."""
    try:
        text = (gateway_folder(home) / "actions.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines() if line]


def _spools(home: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for path in sorted((gateway_folder(home) / "spool").glob("*.jsonl")):
        try:
            with path.open("rb") as stream:
                yield path.stem, read_spool(stream)
        except FileNotFoundError:
            continue  # sealed this moment, so the store has it


def _batch(store: ObjectStore, claim: str) -> Iterator[Row]:
    digest = store.claimed(claim)
    if digest is not None:
        data = store.get(Digest(digest.decode()))
        yield from pq.read_table(io.BytesIO(data)).to_pylist()
