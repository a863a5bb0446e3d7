from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks import clock

DAY = timedelta(days=1)


class Machine:
    """A machine whose clock can be set; what counts goes on by itself."""

    def __init__(self) -> None:
        self.wall, self.counted = datetime(2026, 3, 1, 12, tzinfo=UTC), 1000.0

    def now(self, _: Any) -> datetime:
        return self.wall

    def wait(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.counted += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine()
    monkeypatch.setattr(clock, "datetime", machine)
    monkeypatch.setattr(clock, "_count", lambda: machine.counted)
    clock._anchor.cache_clear()
    yield machine
    clock._anchor.cache_clear()


@pytest.mark.parametrize("jump", [-DAY, DAY, -3650 * DAY])
def test_time_goes_on_whatever_the_machine_is_told(machine: Machine, jump: timedelta) -> None:
    began = clock.now()
    machine.wait(10)
    machine.wall += jump
    machine.wait(5)
    assert clock.now() - began == timedelta(seconds=15)
    assert clock.moved_seconds() == jump.total_seconds()


def test_a_clock_that_is_kept_has_not_moved(machine: Machine) -> None:
    clock.now()
    machine.wait(3600)
    machine.wall += timedelta(seconds=1)  # slewed by the network's time
    assert clock.moved_seconds() == 0


@pytest.mark.parametrize(
    ("told", "apart"),
    [(0, 0), (30, 0), (60, 0), (64, 0), (-4, 0), (86_460, 86_400), (-86_400, -86_400)],
)
def test_another_clock_is_judged_by_when_it_was_read(
    machine: Machine, told: int, apart: int
) -> None:
    asked = clock.now()
    machine.wait(60)
    assert clock.apart_seconds(asked + timedelta(seconds=told), since=asked) == apart


def test_differences_are_told_in_words() -> None:
    assert clock.in_words(86_400) == "86400 s ahead"
    assert clock.in_words(-7.4) == "7 s behind"
