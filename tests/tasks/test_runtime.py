import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tasks import runtime
from tasks.domain.errors import SettingsError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path / "home"))
    runtime.services.cache_clear()
    monkeypatch.setattr(runtime, "_cluster", lambda: pytest.fail("no cluster is asked for"))
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


def test_winding_down_twice_or_without_a_cluster_is_harmless() -> None:
    runtime._cluster.cache_clear()
    runtime.wind_down()
    runtime.wind_down()
