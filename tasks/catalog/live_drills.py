"""What a live-fire drill must look like: a real attack, who answers, how far it may get."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, model_validator

from tasks.catalog.playbooks import StepId, Words
from tasks.catalog.schema import Entry, Prose
from tasks.domain.finding import References
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Fact = str | int | float | bool


class Attack(Frozen):
    """What is done to the model: a module of ``tasks/response/live/attacks``, and how much of it.

    ``budget`` counts what the attack spends: queries of all accounts together, rows that are
    poisoned, objects that are altered. ``per_second`` is on the story's clock.
    """

    name: Name
    role: Name = "partner"
    """Of its accounts at the gateway; the product's own roles, at the story's pace."""
    accounts: int = Field(default=0, ge=0, le=20)
    stolen: bool = False
    """Whether the accounts are honest customers', whose keys the attacker has."""
    budget: int = Field(ge=1, le=100_000)
    per_second: float = Field(default=1, gt=0, le=1000)


class Benign(Frozen):
    """Honest callers who ask all the while, each some single inputs a minute of the story."""

    accounts: int = Field(default=6, ge=1, le=100)
    per_second: float = Field(default=0.5, gt=0, le=1000)
    """Requests of all of them together, on the story's clock."""


class Detection(Frozen):
    """Who must notice: an event that the playbook is started by, and whose finding it is."""

    trigger: EntryId
    by: tuple[Words, ...] = Field(min_length=1)
    """Monitors, checks or commands; one of them must be the first to see it."""


class Reply(Frozen):
    """What the people of a drill answer to a step of the playbook that is theirs."""

    note: Prose
    granted: bool | None = None
    """For gates: the signed answer."""
    said: dict[StepId, Fact] = {}
    """Facts of the incident that they say with it."""
    linked: bool = False
    """They read the other alarms as well and add the accounts of those to the incident."""
    deed: Name | None = None
    """What they do at the keyboard: a module of ``tasks/response/live/deeds``."""


class Limits(Frozen):
    """How far the attack may get before it is contained; each is judged by what was measured."""

    contain_seconds: float = Field(gt=0, le=3600)
    """From detection until it can do no more, on a real clock whatever the story's."""
    leaked_queries: int | None = Field(default=None, ge=0)
    fidelity: float | None = Field(default=None, gt=0, le=1)
    """Agreement with the model that a student of what leaked must stay below, on its interval."""
    benign_refused: float = Field(default=0.01, ge=0, le=1)
    """Share of the honest callers' requests."""


class LiveDrillEntry(Entry):
    """One live-fire scenario: ``catalogs/drills/live/<name>.yaml``."""

    scenario: Prose
    playbook: EntryId
    attack: Attack
    benign: Benign = Benign()
    detection: Detection
    facts: dict[StepId, Fact] = {}
    """What is known when the incident is opened."""
    replies: dict[StepId, Reply] = {}
    """By step; other manual steps are done as the playbook says, other gates are granted."""
    containing: tuple[StepId, ...] = Field(min_length=1)
    """Steps of the playbook that contain the attack; each must be done."""
    proofs: tuple[Name, ...] = Field(min_length=1)
    """What must hold afterwards: modules of ``tasks/response/live/proofs``. One that does not is a
    containment that failed."""
    limits: Limits
    faster: float = Field(default=10, ge=1, le=1000)
    """Seconds of the story in one second, where nobody says otherwise."""
    owner: Words
    """Who answers for what the drill finds."""
    lesson: Prose
    """What to improve when it is not contained in time."""
    controls: tuple[Annotated[str, Field(min_length=2, max_length=40)], ...] = Field(min_length=1)
    """Controls of the control map that it exercises."""
    references: References
    source: Prose

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        asks = self.attack.accounts > 0
        if not asks and (self.limits.leaked_queries is not None or self.limits.fidelity):
            yield "limits on queries need an attack with accounts"
        if asks and self.limits.leaked_queries is None:
            yield "an attack with accounts needs a limit on leaked queries"
        if len(set(self.proofs)) < len(self.proofs):
            yield "a proof is named twice"
        if not self.references.atlas:
            yield "no technique of MITRE ATLAS is named"
