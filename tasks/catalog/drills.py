"""What a tabletop drill must look like: a story on a clock, and what good answers to it are."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.catalog.playbooks import Role, StepId, Words
from tasks.catalog.schema import Entry, Prose
from tasks.domain.finding import References
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

Minutes = Annotated[float, Field(ge=0, le=60 * 24 * 30)]
Answer = str | bool | float
Milestone = Literal["declare", "contain", "notify"]
"""The moments that are timed: it is an incident; it can do no more harm; who must know does."""


class Inject(Frozen):
    """What the players are told, and when on the drill's clock."""

    id: StepId
    at_minutes: Minutes
    to: tuple[Role, ...] = Field(min_length=1)
    text: Prose
    facilitator: str = ""
    """What only the facilitator knows."""


class Good(Frozen):
    """An answer that counts, as a share (0 to 1) of the decision's weight, and why."""

    answer: Answer
    share: float = Field(default=1, ge=0, le=1)
    why: Prose


class Decision(Frozen):
    """A question that the players must answer: chosen, yes or no, a number, or in words.

    Words are judged by what they mention: each of ``mentions`` is a list of spellings of one thing.
    """

    id: StepId
    after: StepId
    """The inject that calls for it."""
    role: Role
    question: Annotated[str, Field(min_length=10, max_length=400, pattern=r"\?$")]
    kind: Literal["choice", "yes_no", "text"]
    choices: tuple[Words, ...] = ()
    good: tuple[Good, ...] = ()
    mentions: tuple[tuple[Words, ...], ...] = ()
    weight: float = Field(default=1, gt=0, le=10)
    within_minutes: Minutes
    """From the inject that calls for it."""
    milestone: Milestone | None = None
    step: StepId | None = None
    """The step of the playbook that it stands for; the order of steps is scored."""
    lesson: Prose
    """What to improve when it went wrong."""

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("; ".join(f"{self.id}: {problem}" for problem in problems))
        return self

    def _problems(self) -> Iterator[str]:
        if self.kind == "choice" and len(self.choices) < 2:
            yield "a choice needs two choices"
        if self.kind == "text" and not self.mentions:
            yield "an answer in words needs mentions"
        if self.kind != "text" and not any(good.share == 1 for good in self.good):
            yield "no answer is wholly good"
        if self.kind == "choice":
            unknown = [str(good.answer) for good in self.good if good.answer not in self.choices]
            if unknown:
                yield f"good answers that are no choices: {', '.join(unknown)}"
        if self.kind == "yes_no" and any(not isinstance(good.answer, bool) for good in self.good):
            yield "good answers must be true or false"


class DrillEntry(Entry):
    """One tabletop scenario: ``catalogs/drills/<family>/<name>.yaml``."""

    scenario: Prose
    playbook: EntryId
    roles: dict[Role, Words] = Field(min_length=2)
    minutes: float = Field(gt=0, le=60 * 24 * 30)
    """How long the story lasts on its own clock."""
    injects: tuple[Inject, ...] = Field(min_length=3)
    decisions: tuple[Decision, ...] = Field(min_length=4)
    controls: tuple[Annotated[str, Field(min_length=2, max_length=40)], ...] = Field(min_length=1)
    """Controls of the control map that it exercises."""
    references: References
    source: Prose

    @model_validator(mode="after")
    def _is_a_story(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def inject(self, inject_id: str) -> Inject:
        """Returns the inject of this id."""
        return next(inject for inject in self.injects if inject.id == inject_id)

    def due(self, decision: Decision) -> float:
        """Returns until which minute of the drill's clock a decision should be made."""
        return self.inject(decision.after).at_minutes + decision.within_minutes

    def _problems(self) -> Iterator[str]:
        times = [inject.at_minutes for inject in self.injects]
        if times != sorted(times) or times[-1] > self.minutes:
            yield "injects must follow each other within the drill's minutes"
        names = [inject.id for inject in self.injects]
        ids = [*names, *(decision.id for decision in self.decisions)]
        if doubled := sorted({one for one in ids if ids.count(one) > 1}):
            yield f"there twice: {', '.join(doubled)}"
        for decision in self.decisions:
            if decision.after not in names:
                yield f"{decision.id}: no inject is called {decision.after}"
            if decision.role not in self.roles:
                yield f"{decision.id}: no role is called {decision.role}"
        for inject in self.injects:
            if unknown := sorted(set(inject.to) - set(self.roles)):
                yield f"{inject.id}: no role is called {', '.join(unknown)}"
        milestones = [one.milestone for one in self.decisions if one.milestone]
        for milestone in ("declare", "contain", "notify"):
            if milestones.count(milestone) != 1:
                yield f"exactly one decision must be the milestone {milestone}"
