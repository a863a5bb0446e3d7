"""Where alarms wait: kept in the store before anybody is told, until somebody has answered.

``alarms/<alarm>/first`` is the alarm as it was seen first, ``alarms/<alarm>/answered`` what came of
it. Both are write-once, so a crash anywhere repeats something harmless and loses nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError

from tasks.domain.alarm import Alarm, Mode
from tasks.domain.errors import EvidenceError, InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.store.protocol import ObjectStore

ALARMS = "alarms/"


class Start(Frozen):
    """One playbook that an alarm starts."""

    playbook: str
    mode: Mode
    case: str = ""
    """Id of the case; empty when the playbook is off."""


class Answer(Frozen):
    """What came of an alarm; no starts means that no playbook names its trigger."""

    starts: tuple[Start, ...] = ()


class Kept(NamedTuple):
    """An alarm as it was kept first, and whether that was this time."""

    alarm: Alarm
    new: bool


def keep_alarm(alarm: Alarm, store: ObjectStore) -> Kept:
    """Keeps an alarm unless the same one is kept; returns the first.

    Raises:
        StoreError: It could not be kept; raise it again.
    """
    new = store.claim(_first(alarm.name), alarm.canonical())
    return Kept(alarm if new else known_alarm(alarm.name, store), new)


def known_alarm(name: str, store: ObjectStore) -> Alarm:
    """Returns a kept alarm.

    Raises:
        InvalidInputError: There is none of this name.
        EvidenceError: What is kept is no alarm.
    """
    data = store.claimed(_first(name))
    if data is None:
        raise InvalidInputError(f"no alarm is called {name!r}. List: proofhouse events alarms")
    try:
        return Alarm.parse(data)
    except ValidationError as error:
        raise EvidenceError(f"{_first(name)} is no alarm") from error


def keep_answer(name: str, answer: Answer, store: ObjectStore) -> None:
    """Writes down what came of an alarm; the first answer counts."""
    store.claim(_answered(name), answer.canonical())


def answer_to(name: str, store: ObjectStore) -> Answer | None:
    """Returns what came of an alarm; None while it waits."""
    data = store.claimed(_answered(name))
    return None if data is None else Answer.parse(data)


def alarm_names(store: ObjectStore, *, waiting: bool = False) -> Iterator[str]:
    """Yields the names of all alarms, or of those that nobody has answered yet."""
    names = list(store.claims(ALARMS))
    answered = {name.split("/")[1] for name in names if name.endswith("/answered")}
    for name in names:
        alarm = name.split("/")[1]
        if name.endswith("/first") and not (waiting and alarm in answered):
            yield alarm


def _first(name: str) -> str:
    return f"{ALARMS}{name}/first"


def _answered(name: str) -> str:
    return f"{ALARMS}{name}/answered"
