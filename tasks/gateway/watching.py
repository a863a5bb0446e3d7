"""Watches every account while it asks: who raised an alarm, why, and what is done at once.

The monitors see rows of telemetry within a second of the answer. An account is followed for one
week at a time and alarmed at most once a week.
"""

import json
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tasks.detectors.telemetry.calibration import Calibration
from tasks.detectors.telemetry.scoring import Follower
from tasks.detectors.telemetry.trail import BLOCK
from tasks.gateway.actions import gateway_folder, reauthenticate, throttle
from tasks.gateway.metrics import Metrics
from tasks.gateway.policy import Watch
from tasks.gateway.trails import WEEK_SECONDS, Row, is_watched, trail_of

MOST_ACCOUNTS = 4096
"""Followed at once (some 60 kB each); beyond it the longest silent one is forgotten."""
_log = logging.getLogger(__name__)


class Alarm(NamedTuple):
    """One account that somebody should look at."""

    account: str
    monitor: str
    score: float
    threshold: float
    queries: int
    """Items the account had asked when the alarm was raised, in the period that was watched."""
    asset: str = ""
    """The version that answered."""


class _Followed:
    """What is kept of one account."""

    def __init__(self, week: int, follower: Follower) -> None:
        self.week, self.follower = week, follower
        self.waiting: list[Row] = []
        self.alarmed = False


def alarmed_accounts(home: Path, *, since: float = 0.0) -> set[str]:
    """Returns every account that a monitor alarmed, from ``since`` (seconds since 1970) on."""
    path = gateway_folder(home) / "alarms.jsonl"
    if not path.exists():
        return set()
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return {
        line["account"]
        for line in lines
        if line["monitor"] != "quota" and datetime.fromisoformat(line["at"]).timestamp() >= since
    }


class Watching:
    """Follows accounts, writes alarms down, counts them, and does what the policy says.

    Args:
        home: Of Proofhouse.
        policy: What an alarm does.
        metrics: Where alarms are counted.
        calibration: The monitors' scales and threshold; None watches nothing but quotas.
    """

    def __init__(
        self,
        home: Path,
        policy: Watch,
        metrics: Metrics,
        calibration: Calibration | None = None,
    ) -> None:
        self._home, self._policy, self._metrics = home, policy, metrics
        self.calibration = calibration
        self._lock = threading.Lock()
        self._recalled: set[str] = set()
        self._accounts: OrderedDict[str, _Followed] = OrderedDict()
        self.alarms: list[Alarm] = []

    def heard(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Is shown every row of telemetry, in order, from one thread."""
        if self.calibration is None:
            return
        for row in rows:
            if is_watched(row):
                self._follow(row, self.calibration)

    def recall(self, rows: Sequence[Row]) -> None:
        """Follows what an earlier gateway heard this week; repeats no alarm that was raised."""
        began = time.time() // WEEK_SECONDS * WEEK_SECONDS
        self._recalled = alarmed_accounts(self._home, since=began)
        self.heard(rows)
        self._recalled = set()

    def _follow(self, row: Row, calibration: Calibration) -> None:
        followed = self._of(str(row["account"]), row, calibration)
        followed.waiting.append(row)
        if len(followed.waiting) < BLOCK:
            return
        block, followed.waiting = trail_of(followed.waiting), []
        standing = calibration.standing(followed.follower.block(block))
        highest = int(standing.argmax())
        if standing[highest] <= calibration.threshold or followed.alarmed:
            return
        followed.alarmed = True
        if row["account"] not in self._recalled:
            self.alarm(
                Alarm(
                    account=str(row["account"]),
                    monitor=calibration.names[highest],
                    score=float(standing[highest]),
                    threshold=calibration.threshold,
                    queries=followed.follower.count,
                    asset=str(row["model"]),
                )
            )

    def _of(self, account: str, row: Row, calibration: Calibration) -> _Followed:
        week = int(row["time"] // WEEK_SECONDS)
        followed = self._accounts.pop(account, None)
        if followed is None or followed.week != week:
            followed = _Followed(week, Follower(len(row["features"]), calibration.unit))
        self._accounts[account] = followed
        if len(self._accounts) > MOST_ACCOUNTS:
            self._accounts.popitem(last=False)
        return followed

    def quota_alert(self, account: str, used: int, asset: str = "") -> None:
        """Notes that an account reached the part of its quota at which somebody should look."""
        self.alarm(Alarm(account, "quota", float(used), float(used), used, asset))

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
