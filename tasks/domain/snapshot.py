"""A forensic snapshot: what is known of an asset at one moment, by name and digest."""

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from tasks.domain.digest import DigestField
from tasks.domain.frozen import Frozen
from tasks.domain.incident import Incident


class TelemetryWindow(Frozen):
    """The sealed batches of a gateway over the days that concern the accounts of an incident."""

    gateway: str
    since: str
    """First day, for example ``2026-11-13``."""
    until: str
    """Last day, included."""
    accounts: tuple[str, ...] = ()
    parts: dict[str, DigestField] = {}
    """Parquet batches by the claim that names them, each with rows of every caller of its time."""


class RegistryEntry(Frozen):
    """Where a version stands in the registry, and the head of its model's signed log.

    ``problem`` says why nothing else could be said: no registry, or a chain that does not verify.
    """

    model: str
    alias: str = ""
    registered: DigestField | None = None
    """Signed statement that registered the version."""
    withdrawn: str = ""
    held: dict[str, str] = {}
    links: tuple[DigestField, ...] = ()
    """Every signed statement of the model's log, the oldest first; the last is its head."""
    head_index: int | None = None
    """Entry of the ledger that lists the head."""
    problem: str = ""


class Custody(Frozen):
    """Who took it, when and on which machine."""

    taken: AwareDatetime
    by: str
    on: str


class Snapshot(Frozen):
    """What ``evidence.snapshot`` signs. Version 1 knew neither telemetry nor registry."""

    schema_: Literal["proofhouse.snapshot/1", "proofhouse.snapshot/2"] = Field(alias="schema")
    incident: Incident
    case: str
    asset: dict[str, Any]
    runs: tuple[dict[str, Any], ...]
    objects: dict[str, dict[str, DigestField]]
    """Digests by role, by run."""
    telemetry: TelemetryWindow | None = None
    registry: RegistryEntry | None = None
    custody: Custody
