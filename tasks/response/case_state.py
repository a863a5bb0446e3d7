"""Where a case stands: a pure function of playbook, incident and events.

No I/O and no clock, so that every order of crashes and resumptions can be tested.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tasks.catalog.playbooks import PlaybookEntry, Step
from tasks.domain.case import CaseEvent, Ending, Said
from tasks.domain.incident import Incident

AWARE = "aware"
"""Fact by which people say since when the enterprise is aware, as a moment with time zone."""


class Standing(StrEnum):
    """What a step is doing."""

    WAITING = "waiting"
    """An earlier step has not ended."""
    UNKNOWN = "unknown"
    """Its condition rests on a value that nobody has given."""
    READY = "ready"
    RUNNING = "running"
    """Started by somebody who has not said how it ended: perhaps a process that died."""
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    DENIED = "denied"
    UNDONE = "undone"


_PASSED = {Standing.DONE, Standing.SKIPPED, Standing.UNDONE}
"""What was undone had been done: what came after it stays, and the case can end."""


class CaseState(NamedTuple):
    """One case at one moment."""

    playbook: PlaybookEntry
    incident: Incident
    events: tuple[CaseEvent, ...]
    assuming: bool = False
    """In a dry run conditions that rest on unknown values are taken to hold."""

    @property
    def next_number(self) -> int:
        """The number of the event that comes next."""
        return len(self.events)

    @property
    def closed(self) -> bool:
        """Whether somebody closed the case."""
        return any(event.kind == "closed" for event in self.events)

    @property
    def finished(self) -> bool:
        """Whether every step is done, undone or skipped."""
        return all(self.standing(step) in _PASSED for step in self.playbook.steps)

    @property
    def declared(self) -> datetime | None:
        """When the incident was confirmed: the end of the step that declares it."""
        last = self.last(self.playbook.declaring)
        return last.at if last is not None and last.ending is Ending.DONE else None

    @property
    def aware(self) -> datetime | None:
        """Since when the enterprise knew: as reported, as said later, or since it was declared."""
        said = self.value(f"incident.{AWARE}")
        told = datetime.fromisoformat(said) if isinstance(said, str) else self.incident.aware
        known = [moment for moment in (told, self.declared) if moment is not None]
        return min(known, default=None)

    def said_at(self, fact: str) -> datetime | None:
        """Returns when a fact that holds was said first; None when it was known from the start."""
        if self.value(f"incident.{fact}") is not True:
            return None
        since: datetime | None = None
        for event in self.events:
            if not event.step and fact in event.said:
                holds = event.said[fact] is True
                since = (since or event.at) if holds else None
        return since

    def last(self, step: Step) -> CaseEvent | None:
        """Returns the latest event of a step that changed where it stands."""
        mine = [event for event in self.events if event.step == step.id and event.kind != "said"]
        return mine[-1] if mine else None

    def standing(self, step: Step) -> Standing:
        """Returns where a step stands."""
        last = self.last(step)
        if last is not None:
            if last.kind == "undone":
                return Standing.UNDONE
            if last.kind == "started":
                return Standing.RUNNING
            assert last.ending is not None, "an event that ends a step says how"
            return Standing(last.ending.value)
        before = (self.playbook.step(name) for name in self.playbook.before(step))
        if any(self.standing(other) not in _PASSED for other in before):
            return Standing.WAITING
        unknown = step.when is not None and self.value(step.when.value) is None
        return Standing.UNKNOWN if unknown and not self.assuming else Standing.READY

    def holds(self, step: Step) -> bool:
        """Answers whether the condition of a ready step holds."""
        if step.when is None:
            return True
        value = self.value(step.when.value)
        return self.assuming if value is None else value == step.when.equals

    def value(self, name: str) -> Said | None:
        """Returns ``incident.<field>`` or ``<step>.<word>``; the latest word counts.

        What people say about the incident later (``said`` events) counts above the report. A step
        may speak of the incident as well: it says the whole name, ``incident.<field>``.
        """
        source, _, word = name.partition(".")
        found: Said | None = self.incident.value(word) if source == "incident" else None
        for event in self.events:
            about = event.step or "incident"
            if about == source and word in event.said:
                found = event.said[word]
            elif name in event.said:
                found = event.said[name]
        return found

    def parameters(self, step: Step) -> dict[str, Said]:
        """Returns what the action of a step is called with.

        Raises:
            KeyError: A value that it needs was never given; names it.
        """
        assert step.action is not None, "only actions have parameters"
        values: dict[str, Said] = dict(step.action.parameters)
        for parameter, name in step.action.given.items():
            value = self.value(name)
            if value is None:
                raise KeyError(name)
            values[parameter] = value
        return values

    def to_do(self) -> Iterator[Step]:
        """Yields the steps that can be worked at now, in reading order.

        Steps whose action failed, or whose process died, are among them: actions can be repeated.
        So are gates that were denied: whoever denied may think again.
        """
        again = {Standing.READY, Standing.FAILED, Standing.RUNNING, Standing.DENIED}
        yield from (step for step in self.playbook.steps if self.standing(step) in again)

    def unknown(self) -> tuple[Step, ...]:
        """Returns the steps whose condition rests on something that nobody has said."""
        return tuple(one for one in self.playbook.steps if self.standing(one) is Standing.UNKNOWN)

    def due(self, step: Step) -> datetime | None:
        """Returns until when a step should have ended."""
        if step.within_minutes is None:
            return None
        return self.incident.detected + timedelta(minutes=step.within_minutes)

    def late(self, now: datetime) -> Sequence[Step]:
        """Returns the steps that ended after their deadline, or have not ended and it passed."""
        return [step for step in self.playbook.steps if self._is_late(step, now)]

    def _is_late(self, step: Step, now: datetime) -> bool:
        due, last = self.due(step), self.last(step)
        if due is None or (last is not None and last.ending is Ending.SKIPPED):
            return False
        ended = last.at if last is not None and last.ending is Ending.DONE else now
        return ended > due
