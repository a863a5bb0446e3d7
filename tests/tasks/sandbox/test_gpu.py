"""Passing a GPU on, as far as it can be tested without one: choice, walls, and what stays shut."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.domain.errors import (
    ChildMemoryError,
    ChildRaisedError,
    ChildResidentError,
)
from tasks.sandbox import gpu as module
from tasks.sandbox import opening, walls
from tasks.sandbox.gpu import Gpu, find_gpu
from tasks.sandbox.opening import ProvedSandbox, open_sandbox
from tasks.sandbox.protocol import Level, Limits
from tasks.sandbox.walls import Order
from tests.tasks.sandbox.hostile import write_pickle
from tests.tasks.sandbox.machine import skip_without_parts_for

OPEN = "targets.unsafe_pickle.unsafe_pickle"
PREDICT = "targets.unsafe_pickle.predictions"
CARDS = {  # by place on the bus; minor numbers need not follow it
    "0000:17:00.0": ("GPU-aaaa1111-0000", 1),
    "0000:65:00.0": ("GPU-bbbb2222-0000", 0),
}


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, Path]:
    """A made-up machine with two GPUs, whose device nodes are plain files."""
    dev, proc = tmp_path / "dev", tmp_path / "proc"
    for place, (uuid, minor) in CARDS.items():
        folder = proc / "driver" / "nvidia" / "gpus" / place
        folder.mkdir(parents=True)
        text = f"Model: \t NVIDIA X\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n"
        (folder / "information").write_text(text)
    dev.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-modeset"):
        (dev / name).write_bytes(b"")
        (dev / name).chmod(0o666)
    return {"dev": dev, "proc": proc}


CHOICES = {
    "nothing said": (None, "GPU-aaaa1111-0000", "nvidia1"),
    "a worker's list": ("1,0", "GPU-bbbb2222-0000", "nvidia0"),
    "a UUID": ("GPU-bbbb2222-0000", "GPU-bbbb2222-0000", "nvidia0"),
    "a shortened UUID": ("GPU-aa", "GPU-aaaa1111-0000", "nvidia1"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_worker_s_own_gpu_is_passed_on_and_no_other(
    name: str, machine: dict[str, Path]
) -> None:
    visible, uuid, node = CHOICES[name]
    found, reason = find_gpu(visible, **machine)
    assert found is not None, reason
    assert found.environment["CUDA_VISIBLE_DEVICES"] == uuid
    assert [Path(each).name for each in found.nodes] == [node, "nvidiactl", "nvidia-uvm"]
    assert found.facts == (str(machine["proc"] / "driver" / "nvidia"),)


@pytest.mark.parametrize("visible", ["2", "", "-1", "GPU-", "GPU-cccc", "MIG-aaaa1111", "all"])
def test_what_names_no_gpu_passes_none_on(visible: str, machine: dict[str, Path]) -> None:
    found, reason = find_gpu(visible, **machine)
    assert found is None
    assert repr(visible) in reason


def test_a_node_that_is_missing_is_named(machine: dict[str, Path]) -> None:
    (machine["dev"] / "nvidia-uvm").unlink()
    found, reason = find_gpu("0", **machine)
    assert found is None
    assert "nvidia-uvm cannot be opened" in reason


def test_without_a_driver_children_compute_on_the_cpu_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(opening, "find_gpu", lambda visible: find_gpu(visible, proc=tmp_path))
    sandbox = open_sandbox(required=Level.L1, gpu=True)
    assert "They compute on the CPU" in caplog.text
    assert sandbox.notes[-1] == "gpu: none to use, children compute on the CPU"
    assert not any("gpu" in note for note in open_sandbox(required=Level.L1).notes)


def order(level: Level, gpu: Gpu | None) -> Order:
    return Order(level, Limits(), (), "/scratch", None, "child", {}, gpu)


def test_it_is_off_unless_asked_for(machine: dict[str, Path]) -> None:
    shut = order(Level.L3, None)
    line = " ".join(walls.command(shut, request=3, reply=4, info=5))
    assert "nvidia" not in line
    assert '"driver_calls": false' in line
    assert "RLIMIT_AS" in walls.resource_limits(shut)
    assert not any("CUDA" in name for name in walls.environment(shut))


def test_exactly_this_is_widened(machine: dict[str, Path]) -> None:
    found, _ = find_gpu("0", **machine)
    assert found is not None
    shut, wide = order(Level.L3, None), order(Level.L3, found)
    before = walls.command(shut, request=3, reply=4, info=5)
    after = walls.command(wide, request=3, reply=4, info=5)
    added = [word for word in after[:-1] if word not in before]
    assert added == [word for node in found.nodes for word in ("--dev-bind", node, node)]
    assert walls.resource_limits(wide).keys() ^ walls.resource_limits(shut).keys() == {
        "RLIMIT_AS", "RLIMIT_DATA",
    }  # fmt: skip
    assert walls.environment(wide).items() - walls.environment(shut).items() == {
        ("CUDA_VISIBLE_DEVICES", found.uuid),
        ("CUDA_CACHE_DISABLE", "1"),
    }


def test_libraries_of_a_container_runtime_are_found(
    machine: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_LIBRARIES", (str(tmp_path / "dev"), str(tmp_path / "none")))
    found, _ = find_gpu("0", **machine)
    assert found is not None
    assert found.environment["LD_LIBRARY_PATH"] == str(tmp_path / "dev")
    assert str(tmp_path / "dev") in walls.command(
        order(Level.L3, found), request=3, reply=4, info=5
    )


@pytest.fixture(params=[Level.L3, Level.L2])
def sandbox(
    request: pytest.FixtureRequest,
    machine: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> ProvedSandbox:
    skip_without_parts_for(request.param)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr(opening, "find_gpu", lambda visible: find_gpu(visible, **machine))
    return open_sandbox(
        required=request.param, prefer=request.param, scratch_root=tmp_path, gpu=True
    )


def asked(sandbox: ProvedSandbox, folder: Path, body: str, limits: Limits = Limits()) -> Any:
    source = f"import numpy as np\nclass Model:\n    def predict(self, inputs): {body}\n"
    path = write_pickle(folder / "model.pkl", source, "Model()")
    with sandbox.session((path,), limits) as session:
        session.open(OPEN, path=str(path))
        return session.call(PREDICT, {"inputs": np.zeros(1)}).arrays["outputs"]


def test_the_self_test_passes_with_a_gpu_and_says_what_is_wider(sandbox: ProvedSandbox) -> None:
    assert all(probe.blocked for probe in sandbox.probes)
    assert "memory_over_limit" in {probe.name for probe in sandbox.probes}
    assert "nvidia0" in sandbox.notes[-1]
    assert "address space is not limited" in sandbox.notes[-1]


def test_the_given_node_can_be_used_and_the_other_cannot(
    sandbox: ProvedSandbox, machine: dict[str, Path], tmp_path: Path
) -> None:
    node, other = machine["dev"] / "nvidia0", machine["dev"] / "nvidia1"
    asked(sandbox, tmp_path, f"open({str(node)!r}, 'r+b').write(b'used'); return inputs")
    assert node.read_bytes() == b"used"
    with pytest.raises(ChildRaisedError, match=r"PermissionError|FileNotFoundError"):
        asked(sandbox, tmp_path, f"open({str(other)!r}, 'r+b')")
    assert other.read_bytes() == b""


RESERVE = (
    "import ctypes; c = ctypes.CDLL(None); c.mmap.restype = ctypes.c_void_p; "
    "at = c.mmap(None, ctypes.c_size_t(1 << 40), 0, 0x4022, -1, 0); "
    "return np.array([at != ctypes.c_void_p(-1).value])"
)
"""A terabyte of address space that nobody may touch, as CUDA reserves it."""


def test_address_space_is_free_and_memory_is_not(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    assert asked(sandbox, tmp_path, RESERVE).tolist() == [True]
    small = Limits(memory_bytes=1 << 30)
    with pytest.raises(ChildMemoryError):
        asked(sandbox, tmp_path, "bytearray(2 << 30)", small)


def test_shared_memory_is_watched(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    grow = (
        "import mmap, time; m = mmap.mmap(-1, 1 << 30); "
        "[m.seek(at << 20) or m.write(bytes(1 << 20)) for at in range(700)]; time.sleep(20)"
    )
    with pytest.raises(ChildResidentError, match="held more than its"):
        asked(sandbox, tmp_path, grow, Limits(memory_bytes=512 << 20))


@pytest.mark.parametrize(
    "way",
    [
        "__import__('os').fork()",
        "__import__('socket').socket()",
        "open('/etc/passwd')",
        "__import__('os').execv('/bin/sh', ['sh'])",
    ],
)
def test_every_other_wall_stands(sandbox: ProvedSandbox, tmp_path: Path, way: str) -> None:
    with pytest.raises(ChildRaisedError, match=r"PermissionError|FileNotFoundError"):
        asked(sandbox, tmp_path, way)
