"""Where a case is kept: write-once claims, so that events survive crashes and never change.

``cases/<case>/head`` is what the case is about, ``cases/<case>/000000`` … are its events, and
``cases/<case>/before/<step>`` is what an action saw before it changed anything. Two
processes that write the same number race for one claim; the loser reads the winner's event and
looks again at what is to be done.
"""

from pydantic import ValidationError

from tasks.domain.case import CaseEvent, CaseHead
from tasks.domain.errors import EvidenceError
from tasks.ledger.cases import CASES
from tasks.store.protocol import ObjectStore


class CaseLog:
    """The events of one case."""

    def __init__(self, store: ObjectStore, head: CaseHead) -> None:
        """Opens the case; the first to open it writes its head."""
        self._store = store
        self.head = head
        self._place = f"{CASES}{head.name}/"
        self._known: list[CaseEvent] = []
        store.claim(self._place + "head", head.canonical())

    def events(self) -> tuple[CaseEvent, ...]:
        """Returns all events in order. What was read once is not read again: it cannot change.

        Raises:
            EvidenceError: What is claimed is no event of this case.
        """
        while (data := self._store.claimed(self._name(len(self._known)))) is not None:
            self._known.append(self._parsed(len(self._known), data))
        return tuple(self._known)

    def append(self, event: CaseEvent) -> bool:
        """Adds an event at its number; False when somebody else wrote that number first."""
        return self._store.claim(self._name(event.number), event.canonical())

    def _parsed(self, number: int, data: bytes) -> CaseEvent:
        try:
            event = CaseEvent.parse(data)
        except ValidationError as error:
            raise EvidenceError(f"{self._name(number)} is no event of a case") from error
        if event.number != number:
            raise EvidenceError(f"{self._name(number)} holds event {event.number}")
        return event

    def _name(self, number: int) -> str:
        return f"{self._place}{number:06d}"


def known_cases(store: ObjectStore) -> tuple[CaseHead, ...]:
    """Returns the heads of all cases in the store, by name."""
    heads = (name for name in store.claims(CASES) if name.endswith("/head"))
    return tuple(CaseHead.parse(store.claimed(name) or b"") for name in sorted(heads))
