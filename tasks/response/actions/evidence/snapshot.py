"""Takes a forensic snapshot: what is known of the asset now, sealed with its chain of custody.

The snapshot is one JSON document in the object store (:class:`tasks.domain.snapshot.Snapshot`): the
incident, the asset and its runs as the inventory has them, the digests of every object that the
runs rest on, the sealed telemetry of the days before and since detection, where the version stands
in the registry with every link of its model's signed log, and who took it when. Bytes stay where
they lie: they are addressed by digest already, so naming them fixes them.
"""

import getpass
import socket
from datetime import UTC, datetime, timedelta

from tasks.domain.case import Said
from tasks.domain.digest import Digest
from tasks.domain.errors import EvidenceError, ObjectCorruptError, ObjectMissingError
from tasks.domain.incident import Incident
from tasks.domain.promotion import model_of
from tasks.domain.snapshot import Custody, RegistryEntry, Snapshot, TelemetryWindow
from tasks.gateway.telemetry import CLAIMS, claim_part
from tasks.inventory.database import Inventory
from tasks.ledger.entry import read_digest
from tasks.ledger.envelope import sign_envelope
from tasks.ledger.seal import sealed_run
from tasks.registry.state import model_state
from tasks.response.acting import Acted, ActionError, Order, World

ASSUMED: dict[str, Said] = {"snapshot": "dry-run", "objects": 0}
DAYS_BEFORE = 7
"""The gateway watches accounts for a week: what an alarm rests on lies within it."""
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
        document = _document(order, world).canonical()
        envelope = sign_envelope(document, payload_type=PAYLOAD_TYPE, signer=world.signer())
        world.store.claim(place, world.store.put(envelope).digest.encode())
        kept = world.store.claimed(place)
    assert kept is not None, "a claim that was made can be read"
    digest = read_digest(kept, place=place)
    return Acted(f"sealed as {digest}", said={"snapshot": digest}, evidence=(digest,))


def _document(order: Order, world: World) -> Snapshot:
    inventory, asset = Inventory(world.database), _asset(order)
    found = inventory.asset(asset)
    if found is None:
        raise ActionError(f"{asset} is not in the inventory, so nothing can be fixed of it")
    runs = inventory.runs(asset)
    objects: dict[str, dict[str, Digest]] = {}
    for run in runs:
        sealed = sealed_run(world.store, run.run)
        if sealed is not None:
            objects[run.run] = {item.role: item.digest for item in sealed[0].objects}
    now = datetime.now(UTC).replace(microsecond=0)
    return Snapshot(
        schema_="proofhouse.snapshot/2",
        incident=order.incident,
        case=order.case,
        asset=found.model_dump(mode="json"),
        runs=tuple(run.model_dump(mode="json") for run in runs),
        objects=objects,
        telemetry=_telemetry(order.incident, found.name, world, now),
        registry=_registry(asset, world),
        custody=Custody(taken=now, by=getpass.getuser(), on=socket.gethostname()),
    )


def _telemetry(incident: Incident, model: str, world: World, now: datetime) -> TelemetryWindow:
    """Names what the gateway of a model has sealed in the window, reading none of it."""
    name = claim_part(model)
    since = (incident.detected.astimezone(UTC) - timedelta(days=DAYS_BEFORE)).strftime("%Y-%m-%d")
    until = now.strftime("%Y-%m-%d")
    prefix = f"{CLAIMS}{name}/"
    parts: dict[str, Digest] = {}
    for claim in world.store.claims(prefix):
        day = claim.removeprefix(prefix).partition("/")[0]
        data = world.store.claimed(claim) if since <= day <= until else None
        if data is not None:
            parts[claim] = read_digest(data, place=claim)
    return TelemetryWindow(
        gateway=name, since=since, until=until, accounts=incident.accounts, parts=parts
    )


def _registry(asset: str, world: World) -> RegistryEntry:
    """Tells where a version stands; a chain that does not verify is told, and stops nothing."""
    model = model_of(asset)
    if world.registry is None:
        return RegistryEntry(model=model, problem="no registry is set up here")
    try:
        state = model_state(model, world.registry)
    except (EvidenceError, ObjectMissingError, ObjectCorruptError) as error:
        return RegistryEntry(model=model, problem=error.message)
    if not state.links:
        return RegistryEntry(model=model, problem="no version of it is registered")
    version = state.version(asset)
    return RegistryEntry(
        model=model,
        alias=state.alias_of(asset) or "",
        registered=version.link.statement if version else None,
        withdrawn=version.withdrawn if version else "",
        held={str(alias): holder for alias, holder in state.held.items()},
        links=tuple(link.statement for link in state.links),
        head_index=state.links[-1].ledger_index,
    )


def _asset(order: Order) -> str:
    return order.text("asset")
