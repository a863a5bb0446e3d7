"""Alarms: who raised one, why, and what is done about it at once."""

import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tasks.gateway.actions import gateway_folder, reauthenticate, throttle
from tasks.gateway.metrics import Metrics
from tasks.gateway.policy import Watch

_log = logging.getLogger(__name__)


class Alarm(NamedTuple):
    """One account that somebody should look at."""

    account: str
    monitor: str
    score: float
    threshold: float
    queries: int
    """Items the account had asked when the alarm was raised, in the period that was watched."""


class Watching:
    """Writes alarms down, counts them, and does what the policy says.

    Args:
        home: Of Proofhouse.
        policy: What an alarm does.
        metrics: Where alarms are counted.
    """

    def __init__(self, home: Path, policy: Watch, metrics: Metrics) -> None:
        self._home, self._policy, self._metrics = home, policy, metrics
        self._lock = threading.Lock()
        self.alarms: list[Alarm] = []

    def heard(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Is shown every row of telemetry, in order."""

    def quota_alert(self, account: str, used: int) -> None:
        """Notes that an account reached the part of its quota at which somebody should look."""
        self.alarm(Alarm(account, "quota", float(used), float(used), used))

    def alarm(self, alarm: Alarm) -> None:
        """Raises an alarm."""
        folder = gateway_folder(self._home)
        line = {"at": datetime.now(UTC).isoformat(), **alarm._asdict()}
        with self._lock:
            self.alarms.append(alarm)
            self._metrics.alarms.labels(alarm.monitor).inc()
            with (folder / "alarms.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        _log.warning("abuse alarm: %s by %s (%.3g)", alarm.account, alarm.monitor, alarm.score)
        if alarm.monitor != "quota":
            self._act(alarm)

    def _act(self, alarm: Alarm) -> None:
        by = f"monitor {alarm.monitor}"
        if self._policy.on_alarm == "throttle":
            throttle(self._home, alarm.account, by=by)
        elif self._policy.on_alarm == "reauthenticate":
            reauthenticate(self._home, alarm.account, by=by)
