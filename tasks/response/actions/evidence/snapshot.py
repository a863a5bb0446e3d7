"""Takes a forensic snapshot: what is known of the asset now, sealed with its chain of custody.

The snapshot is one JSON document in the object store: the incident, the asset and its runs as the
inventory has them, the digests of every object that the runs rest on (model, data, measurements,
reports), the head of the ledger, and who took it when. Bytes stay where they lie: they are
addressed by digest already, so naming them fixes them.
"""

import getpass
import socket
from datetime import UTC, datetime
from typing import Any

from tasks.domain.case import Said
from tasks.domain.frozen import canonical_json
from tasks.inventory.database import Inventory
from tasks.ledger.entry import read_digest
from tasks.ledger.envelope import sign_envelope
from tasks.ledger.seal import sealed_run
from tasks.response.acting import Acted, ActionError, Order, World

ASSUMED: dict[str, Said] = {"snapshot": "dry-run", "objects": 0}
PAYLOAD_TYPE = "application/vnd.proofhouse.snapshot+json"


def preview(order: Order, world: World) -> str:
    """Says how much would be named."""
    runs = Inventory(world.database).runs(_asset(order))
    return f"seal a snapshot of {_asset(order)}: {len(runs)} runs and what they rest on"


def act(order: Order, world: World) -> Acted:
    """Seals the snapshot once for this step; a repetition finds the first one."""
    place = f"snapshots/{order.key.lower()}"
    kept = world.store.claimed(place)
    if kept is None:
        document = canonical_json(_document(order, world))
        envelope = sign_envelope(document, payload_type=PAYLOAD_TYPE, signer=world.signer())
        world.store.claim(place, world.store.put(envelope).digest.encode())
        kept = world.store.claimed(place)
    assert kept is not None, "a claim that was made can be read"
    digest = read_digest(kept, place=place)
    return Acted(f"sealed as {digest}", said={"snapshot": digest}, evidence=(digest,))


def _document(order: Order, world: World) -> dict[str, Any]:
    inventory, asset = Inventory(world.database), _asset(order)
    found = inventory.asset(asset)
    if found is None:
        raise ActionError(f"{asset} is not in the inventory, so nothing can be fixed of it")
    runs = inventory.runs(asset)
    objects: dict[str, dict[str, str]] = {}
    for run in runs:
        sealed = sealed_run(world.store, run.run)
        if sealed is not None:
            objects[run.run] = {item.role: item.digest for item in sealed[0].objects}
    return {
        "schema": "proofhouse.snapshot/1",
        "incident": order.incident.model_dump(mode="json"),
        "case": order.case,
        "asset": found.model_dump(mode="json"),
        "runs": [run.model_dump(mode="json") for run in runs],
        "objects": objects,
        "custody": {
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
            "by": getpass.getuser(),
            "on": socket.gethostname(),
        },
    }


def _asset(order: Order) -> str:
    return order.text("asset")
