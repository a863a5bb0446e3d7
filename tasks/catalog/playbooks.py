"""What a playbook and a legal clock must look like."""

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.catalog.schema import Entry, Prose
from tasks.domain.alarm import is_trigger
from tasks.domain.finding import References
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId
from tasks.domain.severity import Severity

StepId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Words = Annotated[str, StringConstraints(min_length=3, max_length=200)]
Value = str | int | float | bool
"""A constant of a call. Numbers in the unit that the action's own documentation says."""

DECLARE = "declare"
"""Id of the step of every playbook by which an incident becomes one."""


class Phase(StrEnum):
    """Phases of an incident, in order (NIST SP 800-61r2, section 3, with two parts named apart)."""

    PREPARATION = "preparation"
    DETECTION = "detection"
    CONTAINMENT = "containment"
    ERADICATION = "eradication"
    RECOVERY = "recovery"
    POST_INCIDENT = "post_incident"


class RoleEntry(Frozen):
    """Somebody who must be reachable before an incident, and what they answer for."""

    title: Words
    duty: Prose


class ActionCall(Frozen):
    """What the machine does in a step: an action by id, constants, and values from elsewhere.

    ``given`` takes values from the incident's fields (``incident.asset``) or from what an earlier
    step said (``capture.records``), by parameter.
    """

    name: EntryId
    parameters: dict[StepId, Value] = {}
    given: dict[StepId, EntryId] = {}

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if doubled := sorted(set(self.parameters) & set(self.given)):
            raise ValueError(f"given twice: {', '.join(doubled)}")
        return self


class Gate(Frozen):
    """A named person must approve, signed, before the steps after this one run."""

    question: Annotated[str, Field(min_length=10, max_length=300, pattern=r"\?$")]


class Condition(Frozen):
    """Runs the step only if a value is what is said; ``value`` names it as ``given`` does."""

    value: EntryId
    equals: Value


class Step(Frozen):
    """One step: an action of the machine, a gate, or an instruction to a person.

    ``after`` names the steps that must have ended; left out, the one before. ``within_minutes``
    counts from the incident's detection.
    """

    id: StepId
    phase: Phase
    role: Role
    title: Words
    instruction: Prose
    action: ActionCall | None = None
    gate: Gate | None = None
    after: tuple[StepId, ...] | None = None
    when: Condition | None = None
    within_minutes: float | None = Field(default=None, gt=0, le=60 * 24 * 90)
    undone_by: Prose | None = None
    """How a person undoes a manual step; actions know themselves how they are undone."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if self.action and self.gate:
            raise ValueError(f"step {self.id} is an action or a gate, not both")
        return self

    @property
    def kind(self) -> Literal["action", "gate", "manual"]:
        """Who ends the step: the machine, an approver, or the person of the role."""
        return "action" if self.action else "gate" if self.gate else "manual"


class PlaybookEntry(Entry):
    """Ordered steps against one kind of incident: ``catalogs/playbooks/<family>/<name>.yaml``."""

    purpose: Prose
    severity: Severity
    triggers: tuple[EntryId, ...] = ()
    """Alarms that start it: a trigger of ``tasks/domain/alarm.py``, or one kind of it."""
    roles: dict[Role, RoleEntry] = Field(min_length=1)
    clocks: tuple[EntryId, ...] = ()
    steps: tuple[Step, ...] = Field(min_length=3)
    references: References
    source: Prose

    @model_validator(mode="after")
    def _is_a_graph(self) -> Self:
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def step(self, step_id: str) -> Step:
        """Returns the step of this id."""
        return next(step for step in self.steps if step.id == step_id)

    @property
    def declaring(self) -> Step:
        """The step whose end confirms the incident; clocks of confirmation count from it."""
        return self.step(DECLARE)

    def is_started_by(self, trigger: str) -> bool:
        """Answers whether a trigger, or some kind of it, is among those that start it."""
        return any(one == trigger or one.startswith(f"{trigger}.") for one in self.triggers)

    def before(self, step: Step) -> tuple[str, ...]:
        """Returns the ids of the steps that must have ended before ``step`` starts."""
        if step.after is not None:
            return step.after
        place = self.steps.index(step)
        return (self.steps[place - 1].id,) if place else ()

    def _problems(self) -> Iterator[str]:
        seen: list[str] = []
        for step in self.steps:
            if step.id in seen:
                yield f"step {step.id} is there twice"
            if step.role not in self.roles:
                yield f"step {step.id}: no role is called {step.role}"
            # Only backwards: hence no cycle, and reading order is a possible order.
            for other in (*(step.after or ()), *_sources(step)):
                if other not in seen:
                    yield f"step {step.id}: no earlier step is called {other}"
            seen.append(step.id)
        yield from self._problems_of_the_whole()

    def _problems_of_the_whole(self) -> Iterator[str]:
        if DECLARE not in {step.id for step in self.steps}:
            yield f"no step is called {DECLARE}, so nothing says when it was confirmed"
        if unused := sorted(set(self.roles) - {step.role for step in self.steps}):
            yield f"roles without a step: {', '.join(unused)}"
        for trigger in self.triggers:
            if not is_trigger(trigger):
                yield f"no monitor raises {trigger}"
        missing = {Phase.DETECTION, Phase.CONTAINMENT, Phase.POST_INCIDENT} - {
            step.phase for step in self.steps
        }
        if missing:
            yield f"no step for: {', '.join(sorted(missing))}"


def _sources(step: Step) -> Iterator[str]:
    """Yields the steps whose words this one needs."""
    named = [*(step.action.given.values() if step.action else ())]
    named += [step.when.value] if step.when else []
    yield from (name.partition(".")[0] for name in named if name.partition(".")[0] != "incident")


class ClockEntry(Entry):
    """A duty to tell somebody in time: ``catalogs/clocks/<family>/<name>.yaml``.

    ``applies`` says when, for a person to judge; ``fact`` is the fact of the incident that decides
    it for the machine. ``starts`` says from when the hours count: detection, awareness, or
    confirmation (the incident was declared and the fact determined). Law changes: ``verified`` is
    the day on which somebody read it last.
    """

    duty: Prose
    to: Words
    hours: float = Field(gt=0, le=24 * 366)
    starts: Literal["awareness", "detection", "confirmation"]
    applies: Prose
    fact: StepId
    jurisdiction: Words
    law: Words
    in_force: date
    verified: date
    source: Prose
