"""Hands waiting alarms to the orchestrator until each is answered.

That an event was taken proves nothing: the server may know no automation yet, or die. So an alarm
that has no answer is told again, less and less often. Telling twice is harmless: an alarm has one
case and one flow run for each playbook.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from tasks.alarms.gateway_file import Forwarded, forward_alarms
from tasks.alarms.outbox import alarm_names, known_alarm
from tasks.domain.alarm import Alarm
from tasks.domain.digest import digest_of
from tasks.domain.errors import ProofhouseError
from tasks.events.reading import Notice
from tasks.store.protocol import ObjectStore

AGAIN_SECONDS = 60.0
LONGEST_SECONDS = 3600.0
SWEEP_SECONDS = 60.0
"""How often the store is asked for alarms that others kept; listing costs on S3."""
_log = logging.getLogger(__name__)


def notice_of(alarm: Alarm, attempt: int = 0) -> Notice:
    """Returns an alarm as an event; another attempt is another event about the same alarm."""
    return Notice(
        event=alarm.event,
        resource=f"proofhouse.{alarm.name}",
        payload={
            "alarm": alarm.name,
            "kinds": ", ".join(alarm.kinds),
            "title": alarm.title,
            "asset": alarm.asset,
            "accounts": ", ".join(alarm.accounts[:20]),
            "run": alarm.run,
            "evidence": ", ".join(alarm.evidence[:20]),
        },
        identity=digest_of(f"{alarm.name} {attempt}".encode()),
    )


class Forwarder:
    """Moves a home's alarms on, pass after pass.

    Args:
        home: With the gateway's file.
        store: Where alarms are kept.
        emit: Hands a notice to the orchestrator; raises when it could not.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        home: Path,
        store: ObjectStore,
        emit: Callable[[Notice], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._store, self._emit, self._clock = home, store, emit, clock
        self._next: dict[str, tuple[float, int]] = {}
        self._sweep_at = 0.0

    def one_pass(self) -> Forwarded:
        """Keeps new lines of the gateway and tells of what waits, when it is its turn.

        Raises:
            StoreError: The store does not answer.
        """
        found = forward_alarms(self._home, self._store)
        now = self._clock()
        if found.new or now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            waiting = set(alarm_names(self._store, waiting=True))
            self._next = {name: self._next.get(name, (now, 0)) for name in sorted(waiting)}
        for name, (due, attempt) in list(self._next.items()):
            if now >= due:
                self._tell(name, attempt, now)
        return found

    def _tell(self, name: str, attempt: int, now: float) -> None:
        try:
            self._emit(notice_of(known_alarm(name, self._store), attempt))
        except ProofhouseError as error:
            _log.warning("%s waits: %s", name, error.message)
            self._next[name] = (now + AGAIN_SECONDS, attempt)
            return
        pause = min(LONGEST_SECONDS, AGAIN_SECONDS * 2**attempt)
        self._next[name] = (now + pause, attempt + 1)
