"""The limits in a real Redis: exact over several gateways, kept over every restart."""

import asyncio
import uuid
from pathlib import Path

import pytest

from tasks.domain.errors import GatewayUnavailableError
from tasks.gateway.limits import MemoryLimits, Taken
from tasks.gateway.limits_redis import RedisLimits
from tasks.gateway.policy import GatewayPolicy, Role
from tests.services.redis_server import RedisServer
from tests.simulators.gateway import running_gateway

pytestmark = pytest.mark.redis
FEW = Role(rate_per_second=1e-6, burst=1000, quota=101)


def test_ten_gateways_at_once_grant_exactly_what_there_is(redis_server: RedisServer) -> None:
    prefix = uuid.uuid4().hex

    async def race() -> list[Taken]:
        gateways = [RedisLimits(redis_server.url, prefix) for _ in range(10)]
        asked = [gateway.take("crowd", 1, FEW) for gateway in gateways for _ in range(20)]
        taken = await asyncio.gather(*asked)
        await asyncio.gather(*(gateway.close() for gateway in gateways))
        return taken

    taken = asyncio.run(race())
    assert sum(each.granted for each in taken) == 101
    assert sorted(each.used for each in taken if each.granted) == list(range(1, 102))


@pytest.mark.parametrize(
    ("role", "asked"),
    [
        (Role(rate_per_second=1e-9, burst=5), [2, 2, 2, 1]),
        (Role(rate_per_second=1e-9, burst=5, quota=4), [3, 2, 1]),
        (Role(rate_per_second=1e-9, burst=5), [6, 5, 1]),
    ],
)
def test_it_decides_as_one_process_does(
    redis_server: RedisServer, role: Role, asked: list[int]
) -> None:
    async def decide() -> tuple[list[tuple[bool, str, int]], list[tuple[bool, str, int]]]:
        shared = RedisLimits(redis_server.url, uuid.uuid4().hex)
        alone = MemoryLimits(None)
        there = [await shared.take("a", items, role) for items in asked]
        here = [await alone.take("a", items, role) for items in asked]
        await shared.close()
        return ([(t.granted, t.why, t.used) for t in each] for each in (there, here))  # type: ignore[return-value]

    there, here = asyncio.run(decide())
    assert there == here


def test_what_was_not_answered_is_given_back(redis_server: RedisServer) -> None:
    async def give() -> Taken:
        limits = RedisLimits(redis_server.url, uuid.uuid4().hex)
        role = Role(rate_per_second=1e-9, burst=3, quota=3)
        await limits.take("a", 3, role)
        await limits.give_back("a", 2, role)
        taken = await limits.take("a", 2, role)
        await limits.close()
        return taken

    assert asyncio.run(give()) == Taken(True, "", 0.0, 3)


def test_no_state_is_lost_when_gateway_and_redis_restart(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    policy = GatewayPolicy(roles={"few": FEW.model_copy(update={"quota": 3})})
    account = uuid.uuid4().hex
    with running_gateway(tmp_path, policy=policy, redis=redis_server.url) as gateway:
        key = gateway.key("few", account)
        assert [gateway.ask(key).status for _ in range(2)] == [200, 200]
    redis_server.restart()
    with running_gateway(tmp_path, policy=policy, redis=redis_server.url) as gateway:
        assert [gateway.ask(key).status for _ in range(2)] == [200, 429]


def test_without_redis_nothing_is_granted(tmp_path: Path) -> None:
    async def ask() -> None:
        limits = RedisLimits("redis://127.0.0.1:9/0", "p")
        try:
            await limits.take("a", 1, FEW)
        finally:
            await limits.close()

    with pytest.raises(GatewayUnavailableError, match="Redis"):
        asyncio.run(ask())
    with running_gateway(tmp_path, redis="redis://127.0.0.1:9/0") as gateway:
        said = gateway.ask(gateway.key())
    assert (said.status, said.document["reason"]) == (503, "limits")
