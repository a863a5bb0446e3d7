"""What happened in a drill and when: every shot, every refusal, every word, by one clock."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from tasks.domain.live_drill import Lane, Moment, Volley

BIN_SECONDS = 0.5
Side = Literal["attack", "benign"]


class Shot(NamedTuple):
    """One request: when, by whom, how many items, and whether it was answered."""

    at: float
    account: str
    items: int
    answered: bool
    reason: str = ""


class Record:
    """Kept by several threads at once. Seconds count from the first shot of the attack.

    Args:
        told: Is shown every moment, for progress.
    """

    def __init__(self, told: Callable[[Moment], None] = lambda _: None) -> None:
        self._lock, self._told = threading.Lock(), told
        self._began = time.monotonic()
        self.began = datetime.now(UTC)
        self.attack: list[Shot] = []
        self.benign: list[Shot] = []
        self.moments: list[Moment] = []

    def first_shot(self) -> None:
        """Sets the clock to zero."""
        with self._lock:
            past = time.monotonic() - self._began
            self._began += past
            self.began = datetime.now(UTC)
            self.benign = [shot._replace(at=shot.at - past) for shot in self.benign]
            self.moments = [one.model_copy(update={"at": one.at - past}) for one in self.moments]

    def now(self) -> float:
        """Returns seconds since the first shot."""
        return time.monotonic() - self._began

    def at(self, moment: datetime) -> float:
        """Returns a moment of the calendar on this clock."""
        return (moment - self.began).total_seconds()

    def tell(self, lane: Lane, what: str, *, at: float | None = None) -> None:
        """Writes a moment down."""
        moment = Moment(at=round(self.now() if at is None else at, 3), lane=lane, what=what[:400])
        with self._lock:
            self.moments.append(moment)
        self._told(moment)

    def shot(self, side: Side, account: str, items: int, reason: str | None) -> None:
        """Writes a request down; ``reason`` is None for an answer."""
        with self._lock:
            shots = self.attack if side == "attack" else self.benign
            shots.append(Shot(self.now(), account, items, reason is None, reason or ""))

    def answered(self, account: str) -> list[Shot]:
        """Returns the attack's requests of an account that were answered."""
        return [shot for shot in self.attack if shot.account == account and shot.answered]

    def volleys(self) -> tuple[Volley, ...]:
        """Counts requests in stretches of half a second, from the first shot on."""
        counts: dict[int, dict[str, int]] = {}
        for side, shots in (("attack", self.attack), ("benign", self.benign)):
            for shot in (each for each in shots if each.at >= 0):
                word = f"{side}_{'answered' if shot.answered else 'refused'}"
                stretch = counts.setdefault(int(shot.at / BIN_SECONDS), {})
                stretch[word] = stretch.get(word, 0) + 1
        return tuple(_volley(place, counts[place]) for place in sorted(counts))


def _volley(place: int, counts: Mapping[str, int]) -> Volley:
    return Volley.model_validate({"at": place * BIN_SECONDS, **counts})
