"""Captures what accounts asked and were answered, before retention deletes it; sealed by digest.

From telemetry, hence what the gateway's policy keeps: always time, class, confidence and a keyed
hash; of the inputs themselves nothing, a projection, or all. Rows that wait in a running gateway's
spool are among them. The signed statement names the digest of the rows, who took them, and what
was done to the gateway and under which answer filters it was started, as far as it wrote that down.
"""

import getpass
import json
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tasks.domain.case import Said
from tasks.domain.digest import Digest
from tasks.domain.frozen import canonical_json
from tasks.gateway.telemetry import parquet_bytes
from tasks.gateway.trails import Row
from tasks.gateway.window import doings, telemetry_rows
from tasks.ledger.entry import read_digest
from tasks.ledger.envelope import read_envelope, sign_envelope
from tasks.response.acting import Acted, ActionError, Order, World

ASSUMED: dict[str, Said] = {"captured": "dry-run", "queries": 0, "features": "none"}
PAYLOAD_TYPE = "application/vnd.proofhouse.capture+json"
SCHEMA = "proofhouse.capture/1"
UNKNOWN = "unknown"


def preview(order: Order, world: World) -> str:
    """Says how many rows would be sealed."""
    rows = _rows(order, world)
    return f"seal {len(rows)} rows of telemetry of {', '.join(order.texts('accounts'))}"


def act(order: Order, world: World) -> Acted:
    """Seals the rows of ``parameters["accounts"]`` once for this step.

    Says ``captured`` (digest of the rows, Parquet), ``queries`` (items answered) and ``features``
    (none, projected, raw or unknown).

    Raises:
        ActionError: There is no row of these accounts.
    """
    place = f"captures/{order.key.lower()}"
    if world.store.claimed(place) is None:
        statement = canonical_json(_captured(order, world))
        envelope = sign_envelope(statement, payload_type=PAYLOAD_TYPE, signer=world.signer())
        world.store.claim(place, world.store.put(envelope).digest.encode())
    digest = read_digest(world.store.claimed(place) or b"", place=place)
    told = _told(world, digest)
    rows = Digest(told["rows"]["digest"])
    return Acted(
        f"{told['queries']} answers to {', '.join(told['accounts'])} sealed as {rows}",
        said={"captured": rows, "queries": told["queries"], "features": told["features"]},
        evidence=(digest, rows),
    )


def _captured(order: Order, world: World) -> dict[str, Any]:
    rows = _rows(order, world)
    if not rows:
        accounts = ", ".join(order.texts("accounts"))
        raise ActionError(f"no telemetry of {accounts}: not kept, or deleted by retention already")
    kept = world.store.put(parquet_bytes(rows))
    answered = [row for row in rows if row["status"] == 200]
    done = doings(world.home)
    return {
        "schema": SCHEMA,
        "case": order.case,
        "accounts": sorted(order.texts("accounts")),
        "rows": {"digest": kept.digest, "bytes": kept.size_bytes, "count": len(rows)},
        "queries": len(answered),
        "window": [_moment(rows[0]["time"]), _moment(rows[-1]["time"])],
        "features": _features(answered, done),
        "gateway": done,
        "custody": {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "by": getpass.getuser(),
            "on": socket.gethostname(),
        },
    }


def _rows(order: Order, world: World) -> list[Row]:
    accounts = set(order.texts("accounts"))
    return telemetry_rows(world.store, world.home, lambda row: row["account"] in accounts)


def _features(answered: Sequence[Row], done: Sequence[dict[str, Any]]) -> str:
    """Says what is kept of inputs: the poorest of what the gateway's starts say, if they say it."""
    if not all(row.get("features") is not None for row in answered):
        return "none"
    starts = {str(line["features"]) for line in done if line["action"] == "start"}
    return next((kind for kind in ("none", "projected", "raw") if kind in starts), UNKNOWN)


def _told(world: World, digest: Digest) -> dict[str, Any]:
    data = world.store.get(digest)
    envelope = read_envelope(data, payload_type=PAYLOAD_TYPE, place=str(digest))
    told: dict[str, Any] = json.loads(envelope.payload)
    return told


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
