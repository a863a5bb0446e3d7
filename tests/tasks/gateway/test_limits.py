"""Limits are exact: at the edge, under concurrency, over restarts, and whatever the clock does."""

import asyncio
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.errors import InvalidInputError
from tasks.gateway.limits import MemoryLimits, Spent, decided
from tasks.gateway.policy import GatewayPolicy, Role
from tests.simulators.gateway import running_gateway

ROLE = Role(rate_per_second=10, burst=5, quota=12, quota_seconds=100)


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 7)), max_size=60),
    st.integers(1, 6),
    st.integers(0, 40),
)
def test_no_sequence_is_ever_granted_more_than_there_is(
    asked: list[tuple[float, int]], burst: int, quota: int
) -> None:
    role = Role(rate_per_second=2, burst=burst, quota=quota, quota_seconds=1e9)
    now, spent, granted = 1000.0, None, 0
    for pause, items in asked:
        now += pause
        taken, spent = decided(spent, items, role, now)
        granted += items * taken.granted
        assert granted <= burst + 2 * (now - 1000.0) + 1e-6
        assert granted <= quota
    assert spent is None or spent.used == granted


def test_a_refused_request_costs_nothing() -> None:
    spent = Spent(tokens=3, seen=0, period_began=0)
    taken, after = decided(spent, 4, ROLE, 0)
    assert not taken.granted
    assert taken.retry_after_seconds == pytest.approx(0.1)
    assert (after.tokens, after.used) == (3, 0)


def test_a_quota_begins_anew_after_its_period() -> None:
    spent = Spent(tokens=5, seen=0, period_began=0, used=12)
    assert decided(spent, 1, ROLE, 99)[0].why == "quota"
    assert decided(spent, 1, ROLE, 99)[0].retry_after_seconds == pytest.approx(1)
    assert decided(spent, 1, ROLE, 100)[0].granted


def test_a_clock_that_goes_back_grants_nothing() -> None:
    taken, after = decided(Spent(tokens=0, seen=50, period_began=0), 1, ROLE, 10)
    assert not taken.granted
    assert after.seen == 50


def test_counters_outlive_the_process(tmp_path: Path) -> None:
    async def spend() -> None:
        first = MemoryLimits(tmp_path / "limits.json", lambda: 1000.0)
        for _ in range(4):
            await first.take("a", 1, ROLE)
        await first.close()

    async def ask_again() -> list[bool]:
        again = MemoryLimits(tmp_path / "limits.json", lambda: 1000.0)
        return [(await again.take("a", 1, ROLE)).granted for _ in range(2)]

    asyncio.run(spend())
    assert asyncio.run(ask_again()) == [True, False]


def test_a_damaged_snapshot_is_told(tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text('{"schema": 1')
    with pytest.raises(InvalidInputError, match=r"limits\.json"):
        MemoryLimits(tmp_path / "limits.json")


def test_twenty_callers_at_once_get_exactly_what_there_is(tmp_path: Path) -> None:
    role = Role(rate_per_second=1e-6, burst=1000, quota=51)
    with running_gateway(tmp_path, policy=GatewayPolicy(roles={"few": role})) as gateway:
        key = gateway.key("few", "crowd")
        statuses: list[int] = []

        def ask() -> None:
            statuses.extend(gateway.ask(key).status for _ in range(6))

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * 51 + [429] * 69
