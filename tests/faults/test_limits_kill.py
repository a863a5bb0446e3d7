"""Redis is killed under load: nothing is granted without it, nothing too much with it again."""

import threading
import uuid
from pathlib import Path

import pytest

from tasks.gateway.policy import GatewayPolicy, Role
from tests.services.processes import wait_until
from tests.services.redis_server import running_redis
from tests.simulators.gateway import running_gateway

QUOTA = 300
CALLERS = 6
GRANTED, REFUSED, UNCOUNTED = 200, 429, 503


@pytest.mark.redis
@pytest.mark.slow
def test_a_gateway_outlives_its_redis_and_its_quota_stays_exact(tmp_path: Path) -> None:
    role = Role(rate_per_second=1e-6, burst=10 * QUOTA, quota=QUOTA)
    policy = GatewayPolicy(roles={"few": role})
    said: list[int] = []  # appending is one step, however many callers do it at once
    enough = threading.Event()
    with (
        running_redis() as redis,
        running_gateway(tmp_path, policy=policy, redis=redis.url) as gateway,
    ):
        key = gateway.key("few", uuid.uuid4().hex)

        def call() -> None:
            while not enough.is_set():
                said.append(gateway.ask(key).status)

        callers = [threading.Thread(target=call) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            wait_until(lambda: said.count(GRANTED) > QUOTA // 10, what="a busy gateway")
            redis.server.kill()
            wait_until(lambda: said.count(UNCOUNTED) > CALLERS, what="answers without Redis")
            before = said.count(GRANTED)
            redis.restart()
            wait_until(lambda: REFUSED in said, what="the end of the quota")
        finally:
            enough.set()
            for caller in callers:
                caller.join()
    assert set(said) == {GRANTED, REFUSED, UNCOUNTED}
    assert said.count(GRANTED) > before, "the same gateway grants again"
    # A take that Redis wrote down but could not answer any more is counted and not granted: at
    # most one for each caller.
    assert QUOTA - CALLERS <= said.count(GRANTED) <= QUOTA
