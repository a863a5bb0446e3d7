"""Cases on this machine: the world that actions touch, approvals of gates, incidents from files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from tasks.catalog.playbooks import PlaybookEntry, Step
from tasks.catalog.reading import Catalog, entry_digest
from tasks.domain.case import CaseHead
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.domain.incident import Incident
from tasks.intake.strict_yaml import parse_yaml
from tasks.ledger.approvals import held_approvals, standing_problem
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.registry.place import RegistryPlace
from tasks.response.acting import World
from tasks.response.case_log import CaseLog, known_cases
from tasks.response.following import Following, open_case
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Level
from tasks.settings import Settings
from tasks.store.opening import open_store

MOST_BYTES = 1 << 20
Noun = TypeVar("Noun", bound=Frozen)


def world_of(settings: Settings, *, prefect_url: str = "") -> World:
    """Returns what actions may touch under these settings."""
    home = settings.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    return World(
        home=home,
        store=open_store(settings.store_url, home=home),
        database=settings.database_url,
        signer=lambda: open_signer(settings.signer or None, home=home),
        trust=lambda: trusted_keys(home),
        prefect_url=prefect_url,
        channels=settings.response,
        registry=RegistryPlace.here(settings),
        sandbox=lambda: open_sandbox(required=Level(settings.sandbox.required)),
    )


def read_document(path: Path, kind: type[Noun], *, what: str) -> Noun:
    """Reads a person's YAML file.

    Raises:
        InvalidInputError: Missing, too large, no plain YAML, or another thing; names every fault.
    """
    if not path.is_file():
        raise InvalidInputError(f"The {what} file {path} does not exist. Correct the path.")
    if path.stat().st_size > MOST_BYTES:
        raise InvalidInputError(f"{path} is larger than {MOST_BYTES} bytes: no {what} file.")
    try:
        return kind.model_validate(parse_yaml(path.read_bytes(), place=str(path)))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise InvalidInputError(f"{path} is no {what} file: {faults}") from error


def take_up(playbook: str, incident: Incident, world: World, *, dry_run: bool) -> Following:
    """Opens, or finds, the case of a playbook and an incident.

    Raises:
        CatalogError: There is no such playbook.
    """
    entry = Catalog().playbook(playbook)
    log = open_case(entry, incident, world, dry_run=dry_run)
    return Following(entry, incident, log, world, approved=_approvals(incident, world))


def take_up_known(name: str, world: World) -> Following:
    """Opens a case by its id.

    Raises:
        InvalidInputError: There is none, or its playbook was changed since.
    """
    head = next((one for one in known_cases(world.store) if one.name == name), None)
    if head is None:
        raise InvalidInputError(f"no case is called {name!r}. List: proofhouse cases list")
    entry = _same_playbook(head)
    incident = Incident.parse(world.store.get(head.incident))
    log = CaseLog(world.store, head)
    return Following(entry, incident, log, world, approved=_approvals(incident, world))


def _same_playbook(head: CaseHead) -> PlaybookEntry:
    entry = Catalog().playbook(head.playbook)
    if entry_digest(entry) != head.entry:
        raise InvalidInputError(
            f"{head.playbook} was changed since {head.name} was opened (version {head.version}). "
            "Follow the case with the catalog of that time (PROOFHOUSE_CATALOGS), or open a new "
            "case by: proofhouse respond"
        )
    return entry


class _approvals:  # noqa: N801 - called like the function that it stands for
    """Looks for signed approvals of gates, now."""

    def __init__(self, incident: Incident, world: World) -> None:
        self._asset = incident.asset or incident.name
        self._world = world

    def __call__(self, case: str, step: Step) -> tuple[bool, str, str] | None:
        now = datetime.now(UTC)
        found = [
            held.approval
            for held in held_approvals(self._world.store, self._world.trust())
            if held.approval is not None
            and not held.problem
            and (held.approval.case, held.approval.step) == (case, step.id)
            and not standing_problem(held.approval, now)
        ]
        if not found:
            return None
        latest = max(found, key=lambda approval: approval.issued)
        return bool(latest.granted), latest.by, f"{latest.name}: {latest.reason}"
