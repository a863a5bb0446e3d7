import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tasks import runtime
from tasks.domain.errors import SettingsError
from tasks.settings import Compute


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path / "home"))
    runtime.services.cache_clear()
    monkeypatch.setattr(runtime, "_new_cluster", lambda _: pytest.fail("no cluster is asked for"))
    return tmp_path / "home"


def test_services_open_once_under_the_home(home: Path) -> None:
    first = runtime.services()
    try:
        assert runtime.services() is first
        assert home.is_dir()
        ref = first.store.put(b"evidence")
        assert first.store.get(ref.digest) == b"evidence"
        assert first.limits.memory_bytes == first.settings.sandbox.memory_mib << 20
    finally:
        runtime.services.cache_clear()


def test_a_scheduler_without_an_address_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFHOUSE_COMPUTE__KIND", "scheduler")
    monkeypatch.setenv("PROOFHOUSE_COMPUTE__SCHEDULER", "")
    with pytest.raises(SettingsError, match=r"compute\.scheduler is empty"):
        runtime.task_runner()


def test_making_a_runner_starts_nothing(home: Path) -> None:
    assert type(runtime.task_runner()).__name__ == "DaskTaskRunner"


@pytest.mark.parametrize("broken", ["absent", "raising"])
def test_without_a_gpu_the_cpu_is_used_and_it_is_said(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_gpu(**_: Any) -> None:
        raise RuntimeError("no driver")

    module = ModuleType("dask_cuda")
    module.LocalCUDACluster = no_gpu  # type: ignore[attr-defined]  # a stand-in is built here
    monkeypatch.setitem(sys.modules, "dask_cuda", None if broken == "absent" else module)
    assert runtime._gpu_cluster() is None
    assert "Running on CPU workers instead" in caplog.text


class Started:
    """Stands for a cluster that took its time to start."""

    def __init__(self, compute: Compute) -> None:
        time.sleep(0.2)
        self.compute = compute


@pytest.fixture
def no_cluster() -> Iterator[None]:
    runtime._starting_cluster.cache_clear()
    yield
    runtime._starting_cluster.cache_clear()


def test_workers_start_once_and_behind_the_caller(
    no_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_new_cluster", Started)
    runtime.start_workers()
    assert not runtime._starting_cluster().done()
    runtime.start_workers()
    with runtime.warm_cluster() as first, runtime.warm_cluster() as second:
        assert first is second
        assert isinstance(first, Started)


def test_an_existing_scheduler_gets_no_workers_of_ours(
    no_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOFHOUSE_COMPUTE__KIND", "scheduler")
    monkeypatch.setenv("PROOFHOUSE_COMPUTE__SCHEDULER", "tcp://127.0.0.1:8786")
    runtime.start_workers()
    assert runtime._starting_cluster.cache_info().currsize == 0


def test_a_cluster_that_fails_to_start_says_so_to_whoever_uses_it(
    no_cluster: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Compute) -> None:
        raise OSError("no ports left")

    monkeypatch.setattr(runtime, "_new_cluster", broken)
    runtime.start_workers()
    with pytest.raises(OSError, match="no ports left"), runtime.warm_cluster():
        pass
    runtime.wind_down()
    assert "no ports left" in caplog.text


def test_winding_down_twice_or_without_a_cluster_is_harmless(no_cluster: None) -> None:
    runtime.wind_down()
    runtime.wind_down()
