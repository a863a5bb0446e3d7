"""A drill while it is held: who began it when, and what was answered, each written once.

``drill-sessions/<session>/begun`` fixes drill, team and clock, ``drill-sessions/<session>/`` with a
decision's id is its answer, or that it was left open. A process may die anywhere: whoever goes on
reads where the story stands. Of two answers to one question the first counts.
"""

from datetime import datetime
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from tasks.catalog.drills import Decision, DrillEntry
from tasks.domain.digest import DigestField
from tasks.domain.drill import Answers, PlayerAnswer
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId
from tasks.store.protocol import ObjectStore

SESSIONS = "drill-sessions/"
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class Begun(Frozen):
    """How a session began; the drill's clock counts from ``at``."""

    drill: EntryId
    entry: DigestField
    """Digest of the drill's entry: another text would be scored otherwise."""
    team: Name
    players: dict[str, str] = {}
    faster: float = Field(ge=1, le=10_000)
    """Minutes of the story in one minute at the table."""
    at: AwareDatetime

    def minute(self, moment: datetime) -> float:
        """Returns the minute of the story at a moment."""
        return (moment - self.at).total_seconds() / 60 * self.faster


class Given(Frozen):
    """What was answered; None is a question that was left open."""

    answer: PlayerAnswer | None


class Session:
    """One session, by name."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        """Names the session; nothing is written yet."""
        self._store, self.name = store, name
        self._place = f"{SESSIONS}{name}/"

    def begun(self) -> Begun | None:
        """Returns how it began, or None when it has not."""
        data = self._store.claimed(self._place + "begun")
        return None if data is None else Begun.parse(data)

    def begin(self, begun: Begun) -> Begun:
        """Begins it, unless somebody has; returns how it began."""
        self._store.claim(self._place + "begun", begun.canonical())
        known = self.begun()
        assert known is not None, "a claim that was made can be read"
        return known

    def given(self, decision: Decision) -> Given | None:
        """Returns what was answered to a question, or None when it waits."""
        data = self._store.claimed(self._place + decision.id)
        return None if data is None else Given.parse(data)

    def give(self, decision: Decision, answer: PlayerAnswer | None) -> bool:
        """Answers a question, or leaves it open; False when somebody was first."""
        return self._store.claim(self._place + decision.id, Given(answer=answer).canonical())

    def answers(self, drill: DrillEntry) -> Answers:
        """Returns everything that was answered, as it is scored.

        Raises:
            InvalidInputError: The session has not begun.
        """
        begun = self.begun()
        if begun is None:
            raise InvalidInputError(f"the session {self.name} has not begun")
        found = {one.id: given.answer for one in drill.decisions if (given := self.given(one))}
        return Answers(
            schema_="proofhouse.answers/1",
            drill=drill.id,
            team=begun.team,
            players=begun.players,
            held=begun.at,
            answers={name: answer for name, answer in found.items() if answer is not None},
        )
