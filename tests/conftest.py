"""Real servers, one of each per session, started only when a test asks."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.services.ceph import Ceph, running_ceph
from tests.services.installed import (
    bundles,
    catalogs,
    fresh_house,
    proofhouse,
    server,
    server_home,
)
from tests.services.nights import brief, night_house
from tests.services.postgres import Postgres, running_postgres
from tests.services.redis_server import RedisServer, running_redis

__all__ = [
    "brief",
    "bundles",
    "catalogs",
    "fresh_house",
    "night_house",
    "proofhouse",
    "server",
    "server_home",
]  # fixtures, found by their names here

# Two threads on networks this small mostly wait for each other: with one, training and attacks take
# a third of the time. torch reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Libraries and test items are a million objects that stay: looking through them seldom saves a
# twentieth of all computing.
gc.set_threshold(50_000)
# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files with slow tests first: a long one begun last would leave a core idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    gc.freeze()


@pytest.fixture(scope="session")
def ceph() -> Iterator[Ceph]:
    with running_ceph() as cluster:
        yield cluster


@pytest.fixture
def s3_environment(ceph: Ceph, monkeypatch: pytest.MonkeyPatch) -> Ceph:
    """Points AWS_* at the real gateway, as an operator would."""
    for name, value in ceph.environment.items():
        monkeypatch.setenv(name, value)
    return ceph


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server
