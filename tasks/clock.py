"""The time of this process: read from the machine once, then counted on by what only goes on.

Machines' clocks are wrong, jump, and differ from each other. What a run dates is dated by this one,
so that nothing ends before it began; how far the machine's clock has gone elsewhere meanwhile, and
how far a worker's lies beside it, is told in the evidence. Neither says what came first: the log's
index does.
"""

import functools
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

TOLERATED_SECONDS = 5.0
"""Machines that keep their time differ by less, readings to the second included."""


class _Anchor(NamedTuple):
    told: datetime
    counted: float


def now() -> datetime:
    """Returns the moment in UTC; never before an earlier answer of this process."""
    anchor = _anchor()
    return anchor.told + timedelta(seconds=_count() - anchor.counted)


def moved_seconds() -> float:
    """Returns how far this machine's clock was set since this process began to count; + is on."""
    return _apart(datetime.now(UTC) - now())


def apart_seconds(told: datetime, *, since: datetime) -> float:
    """Returns how far another clock's reading lies outside the time in which it was taken.

    Args:
        told: What the other clock said, at some moment between ``since`` and now.
        since: A moment of this clock before that.

    Returns:
        At least how many seconds the other clock is ahead, negative when it is behind; 0 when that
        is within what is tolerated.
    """
    if told < since:
        return _apart(told - since)
    return max(0.0, _apart(told - now()))


def in_words(seconds: float) -> str:
    """Returns a difference as people say it: ``86400 s ahead``."""
    return f"{abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"


def _apart(difference: timedelta) -> float:
    seconds = difference.total_seconds()
    return seconds if abs(seconds) > TOLERATED_SECONDS else 0.0


@functools.cache
def _anchor() -> _Anchor:
    return _Anchor(datetime.now(UTC), _count())


def _count() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # monotonic, and a sleeping laptop counts on
