"""A small playbook, an incident and a world for tests of responses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tasks.catalog.playbooks import PlaybookEntry
from tasks.domain.channels import Channels
from tasks.domain.incident import Incident
from tasks.inventory.database import Inventory
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.response.acting import World
from tasks.response.following import Following, open_case
from tasks.store.protocol import ObjectStore
from tests.simulators.store import MemoryStore
from tests.tasks.inventory.records import ASSET, STATEMENT, record

DETECTED = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)
PLAYBOOK = PlaybookEntry.model_validate(
    {
        "id": "incident.small",
        "version": 1,
        "title": "A small incident",
        "purpose": "Something happened and is mended again.",
        "severity": "high",
        "roles": {"lead": {"title": "Incident lead", "duty": "Decides what is done."}},
        "steps": [
            {"id": "declare", "phase": "detection", "role": "lead", "title": "Declare it",
             "instruction": "Look and declare it.", "within_minutes": 30},
            {"id": "quarantine", "phase": "containment", "role": "lead", "title": "Take it out",
             "instruction": "The machine does it.",
             "action": {"name": "inventory.quarantine", "given": {"asset": "incident.asset"}}},
            {"id": "ticket", "phase": "containment", "role": "lead", "title": "Write a ticket",
             "instruction": "The machine does it.", "after": ["declare"],
             "action": {"name": "notify.ticket", "parameters": {"text": "It is out."},
                        "given": {"before": "quarantine.state_before"}}},
            {"id": "gate", "phase": "eradication", "role": "lead", "title": "Decide",
             "instruction": "Somebody decides.",
             "when": {"value": "incident.hostile", "equals": True},
             "gate": {"question": "Shall the vendor be barred?"}},
            {"id": "review", "phase": "post_incident", "role": "lead", "title": "Review it",
             "instruction": "Sit together and learn."},
        ],
        "references": {"atlas": ["AML.T0018.000"]},
        "source": "Made for a test of the engine.",
    }
)  # fmt: skip


def incident(**changed: object) -> Incident:
    return Incident.model_validate(
        {
            "schema": "proofhouse.incident/1",
            "title": "A trigger was found",
            "detected": DETECTED,
            "asset": ASSET,
            "vendor": "Acme Vision",
            "accounts": ("partner-1", "partner-2"),
            **changed,
        }
    )


def world(folder: Path, store: ObjectStore | None = None, **channels: object) -> World:
    """A home with one approved asset and a key."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    address = f"sqlite:///{home / 'inventory.sqlite'}"
    Inventory(address).record_run(record(), statement=STATEMENT, ledger_index=0)
    return World(
        home=home,
        store=store or MemoryStore(),
        database=address,
        signer=lambda: open_signer(None, home=home),
        trust=lambda: trusted_keys(home),
        channels=Channels.model_validate(channels),
    )


class Clock:
    """Ten minutes pass between two looks."""

    def __init__(self) -> None:
        self.now = DETECTED

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=10)
        return self.now


def following(
    place: World, *, dry_run: bool = False, granted: bool | None = None, **changed: object
) -> Following:
    answer = None if granted is None else (granted, "Eve", "approval: because")
    told = incident(**changed)
    log = open_case(PLAYBOOK, told, place, dry_run=dry_run)
    return Following(PLAYBOOK, told, log, place, approved=lambda *_: answer, clock=Clock())
