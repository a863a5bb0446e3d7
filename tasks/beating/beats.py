"""A run says every half minute that it lives; who reads that can tell a slow run from a dead one.

``beats/<run>/begun`` says which process works on it, ``beats/<run>/<n>`` is its n-th sign of life,
``beats/<run>/ended`` that it needs none any more. All of them are write-once claims, so a stale
process can never undo what was said about it. Nothing else depends on beats: evidence is idempotent
by content, so calling a run dead too early costs time and never a second verdict.
"""

import atexit
import logging
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from pydantic import AwareDatetime, ValidationError

from tasks.domain.errors import ProofhouseError
from tasks.domain.frozen import Frozen
from tasks.store.protocol import ObjectStore

BEATS = "beats/"
EVERY_SECONDS = 30.0
SILENCE = timedelta(seconds=80)
"""Two beats may be lost; after that nobody is expected to say anything any more."""
_log = logging.getLogger(__name__)


class Begun(Frozen):
    """Which process works on a run."""

    host: str
    pid: int
    ticks: int
    at: AwareDatetime


class Silent(NamedTuple):
    """A run that neither ended nor lives, and how one can tell."""

    run: str
    why: str


class Pulse:
    """Beats for one run until it is stopped, or its process ends.

    Args:
        store: Where beats are claimed.
        run: Id of the flow run: lower-case letters, digits, dashes.
        every_seconds: Time between beats.
    """

    def __init__(
        self, store: ObjectStore, run: str, *, every_seconds: float = EVERY_SECONDS
    ) -> None:
        self._store, self._run, self._every = store, run, every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        """Begins; what is wrong with the store is told in the log and stops no run."""
        self._claim("begun", this_process().canonical())
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Says that the run needs no more signs of life."""
        if not self._stop.is_set():
            self._stop.set()
            self._claim("ended", _now().isoformat().encode())
        atexit.unregister(self.stop)

    def _beat(self) -> None:
        number = 0
        while not self._stop.wait(self._every):
            number += 1
            self._claim(f"{number:06d}", _now().isoformat().encode())

    def _claim(self, name: str, data: bytes) -> None:
        try:
            self._store.claim(f"{BEATS}{self._run}/{name}", data)
        except (ProofhouseError, OSError) as error:
            _log.warning("no sign of life of %s could be kept: %s", self._run, error)


def silent_runs(store: ObjectStore, now: datetime) -> Iterator[Silent]:
    """Yields every run that gave signs of life, did not end, and gives none any more."""
    signs: dict[str, list[str]] = {}
    for name in store.claims(BEATS):
        run, _, sign = name.removeprefix(BEATS).partition("/")
        signs.setdefault(run, []).append(sign)
    for run, given in signs.items():
        if "begun" in given and "ended" not in given:
            why = _silence(run, given, store, now)
            if why:
                yield Silent(run, why)


def lay_to_rest(run: str, store: ObjectStore) -> None:
    """Says that nothing more is to be heard of a run."""
    store.claim(f"{BEATS}{run}/ended", _now().isoformat().encode())


def this_process() -> Begun:
    """Returns the process that this code runs in."""
    return Begun(host=socket.gethostname(), pid=os.getpid(), ticks=_ticks(os.getpid()), at=_now())


def _silence(run: str, given: list[str], store: ObjectStore, now: datetime) -> str:
    try:
        begun = Begun.parse(store.claimed(f"{BEATS}{run}/begun") or b"")
    except ValidationError:
        return "it never said which process it is"
    if begun.host == socket.gethostname() and _ticks(begun.pid) != begun.ticks:
        return f"its process {begun.pid} is gone"
    beats = sorted(sign for sign in given if sign.isdecimal())
    last = _moment(store.claimed(f"{BEATS}{run}/{beats[-1]}")) if beats else begun.at
    if now - last <= SILENCE:
        return ""
    return f"it gave no sign of life for {int((now - last).total_seconds())} s"


def _moment(data: bytes | None) -> datetime:
    try:
        return datetime.fromisoformat((data or b"").decode())
    except (ValueError, UnicodeDecodeError):
        return datetime.min.replace(tzinfo=UTC)


def _ticks(pid: int) -> int:
    """Returns when a process began, in ticks since boot; 0 when there is none. Ids are reused."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()  # proc(5), after pid and name
    return 0 if fields[0] == "Z" else int(fields[19])


def _now() -> datetime:
    return datetime.now(UTC)
