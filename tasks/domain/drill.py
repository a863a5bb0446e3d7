"""What players answered in a drill, and how it was scored."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from tasks.domain.digest import DigestField, digest_of
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

Text = Annotated[str, StringConstraints(max_length=8000)]
Given = bool | float | Text


class PlayerAnswer(Frozen):
    """One answer: what, when on the drill's clock, and by whom."""

    answer: Given
    at_minutes: float = Field(ge=0, le=60 * 24 * 60)
    by: Annotated[str, StringConstraints(max_length=200)] = ""


class Answers(Frozen):
    """One rehearsal of one drill (schema ``proofhouse.answers/1``)."""

    schema_: Literal["proofhouse.answers/1"] = Field(alias="schema")
    drill: EntryId
    team: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "team"
    players: dict[str, str] = {}
    """Who plays which role, by role."""
    held: AwareDatetime
    answers: dict[str, PlayerAnswer] = {}


class Scored(Frozen):
    """One decision: what was given, what it is worth, and when it came."""

    decision: str
    role: str
    question: str
    weight: float
    given: str = ""
    by: str = ""
    share: float = Field(ge=0, le=1)
    """How good the answer was, whenever it came."""
    asked: float
    due: float
    at: float | None = None
    """Minute of the answer; None when nobody answered."""
    worth: float = Field(ge=0, le=1)
    """Share after lateness: half when late, nothing when missed."""
    said: str = ""
    """Why the answer is worth that."""

    @property
    def late(self) -> bool:
        """Whether it came after its deadline, or never."""
        return self.at is None or self.at > self.due


class Milestoned(Frozen):
    """When the team declared, contained and notified; None for never."""

    name: Literal["declare", "contain", "notify"]
    at: float | None
    due: float


class Improvement(Frozen):
    """Something to mend, with somebody who answers for it and a day."""

    drill: EntryId
    decision: str
    lesson: str
    owner: str
    due: date
    severity: Literal["medium", "high"]

    @property
    def name(self) -> str:
        """Short id: the same lesson of the same drill and day is the same item."""
        return "item-" + digest_of(self.canonical()).removeprefix("sha256:")[:12]


class DrillResult(Frozen):
    """What came out of one rehearsal."""

    drill: EntryId
    version: int
    entry: DigestField
    answers: DigestField
    team: str
    held: AwareDatetime
    score: float = Field(ge=0, le=1)
    """Sum of weight times worth, over the sum of weights."""
    order: float | None = Field(default=None, ge=0, le=1)
    """Share of pairs of steps that were decided in the playbook's order; None below two steps."""
    decisions: tuple[Scored, ...]
    milestones: tuple[Milestoned, ...]
    improvements: tuple[Improvement, ...]

    @property
    def name(self) -> str:
        """``drill-`` and twenty digits."""
        return "drill-" + digest_of(self.canonical()).removeprefix("sha256:")[:20]
