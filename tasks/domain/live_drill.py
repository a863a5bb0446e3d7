"""What came out of a live-fire drill: measured moments, judged against the entry's limits."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from tasks.domain.digest import DigestField, digest_of
from tasks.domain.drill import Improvement
from tasks.domain.estimate import Estimate
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

Lane = Literal["attack", "detection", "containment", "people", "benign"]
Seconds = Annotated[float, Field(ge=0)]


class Moment(Frozen):
    """Something that happened, in seconds of a real clock since the first shot."""

    at: float
    lane: Lane
    what: Annotated[str, StringConstraints(max_length=400)]


class Objective(Frozen):
    """One thing that had to hold, and what was measured."""

    name: Annotated[str, StringConstraints(max_length=80)]
    held: bool
    said: Annotated[str, StringConstraints(max_length=1000)]
    value: float | None = None
    limit: float | None = None
    vital: bool = False
    """Whether the attack was not contained without it."""


class Volley(Frozen):
    """How many requests were answered and refused in one stretch of the drill."""

    at: Seconds
    attack_answered: int = 0
    attack_refused: int = 0
    benign_answered: int = 0
    benign_refused: int = 0


class LiveResult(Frozen):
    """One live-fire drill. ``None`` where it never came to that, or the question does not arise."""

    schema_: Literal["proofhouse.live-drill/1"] = Field(
        default="proofhouse.live-drill/1", alias="schema"
    )
    drill: EntryId
    version: int
    entry: DigestField
    playbook: DigestField
    team: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    held: AwareDatetime
    faster: float
    """Seconds of the story in a real one; it paces callers, never the response."""
    detected_by: str = ""
    seconds_to_detect: Seconds | None = None
    """From the first shot."""
    seconds_to_contain: Seconds | None = None
    """From detection, on the real clock; the slowest of all accounts."""
    leaked_queries: int | None = None
    fidelity: Estimate | None = None
    """Agreement of a student of what leaked with the model, on inputs that it never saw."""
    benign_requests: int = 0
    benign_refused: int = 0
    benign_hurt: int = 0
    """Honest accounts that were refused at least once."""
    objectives: tuple[Objective, ...]
    volleys: tuple[Volley, ...] = ()
    moments: tuple[Moment, ...] = ()
    cases: tuple[str, ...] = ()
    evidence: dict[str, DigestField] = {}
    """What is kept of it: the cases' events, the telemetry, by name."""
    improvements: tuple[Improvement, ...] = ()

    @property
    def name(self) -> str:
        """``drill-`` and twenty digits."""
        return "drill-" + digest_of(self.canonical()).removeprefix("sha256:")[:20]

    @property
    def contained(self) -> bool:
        """Whether every vital objective held; none at all is no containment."""
        vital = [one.held for one in self.objectives if one.vital]
        return bool(vital) and all(vital)

    @property
    def score(self) -> float:
        """Share of objectives that held, 0 to 1; 0 when the attack was not contained."""
        if not self.contained:
            return 0.0
        return sum(one.held for one in self.objectives) / len(self.objectives)

    @property
    def passed(self) -> bool:
        """Whether everything held: one limit that was broken is a drill that was not passed."""
        return self.contained and all(one.held for one in self.objectives)
