import shutil
import time
from pathlib import Path

import pytest

from tasks.domain.errors import SandboxError
from tasks.sandbox import opening, selftest
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Level
from tests.tasks.sandbox.hostile import processes_naming
from tests.tasks.sandbox.machine import skip_without_parts_for

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def fresh() -> None:
    opening._proof.cache_clear()


@pytest.mark.parametrize("level", [Level.L3, Level.L2, Level.L1])
def test_every_escape_of_a_proved_level_was_tried_and_stopped(level: Level) -> None:
    skip_without_parts_for(level)
    sandbox = open_sandbox(required=level, prefer=level)
    assert sandbox.level == level
    assert tuple(probe.name for probe in sandbox.probes) == selftest.asked_of(level)
    assert all(probe.blocked and probe.detail for probe in sandbox.probes)


def test_without_walls_the_same_attempts_get_out(tmp_path: Path) -> None:
    # A probe that cannot succeed proves nothing by failing.
    with selftest._bait() as options:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        said, _ = selftest._run(selftest._order(Level.L0, str(scratch), None, options))
        assert Path(options["folder"], "escaped").exists()
    known = {"user_namespace", "ptrace_stranger", "read_memory_of_stranger"}  # others may forbid
    stopped = {name for name, (blocked, _) in said.items() if blocked}
    assert stopped <= known
    assert set(selftest.asked_of(Level.L3)) - said.keys() == {"exec_shell"}  # the child became it


def test_silence_counts_as_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "_run", lambda _: ({}, "died early"))
    with pytest.raises(SandboxError, match=r"fork \(no report: died early\)"):
        open_sandbox()


def test_without_bubblewrap_the_next_level_is_taken_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise FileNotFoundError("bubblewrap (bwrap) is not installed")

    monkeypatch.setattr(opening, "bubblewrap", missing)
    assert open_sandbox().level == Level.L2
    assert open_sandbox().notes[0] == "L3: bubblewrap (bwrap) is not installed"
    with pytest.raises(SandboxError, match=r"required is L3.*not installed.*install bubblewrap"):
        open_sandbox(required=Level.L3)


def test_a_bubblewrap_that_fails_is_no_level_3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # What a container does that forbids user namespaces.
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho No permissions to create new namespace >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr("tasks.sandbox.walls.bubblewrap", lambda: (str(fake), (0, 8, 0)))
    sandbox = open_sandbox()
    assert sandbox.level == Level.L2
    assert "No permissions to create new namespace" in sandbox.notes[0]


def test_a_lower_level_can_be_preferred_but_never_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFHOUSE_SANDBOX_PREFER", "L2")
    assert open_sandbox().level == Level.L2
    monkeypatch.setenv("PROOFHOUSE_SANDBOX_PREFER", "L1")
    with pytest.raises(SandboxError, match="reaches level L1, required is L2"):
        open_sandbox()
    assert open_sandbox(required=Level.L0, prefer=Level.L0).probes == ()


def test_a_misspelt_preference_is_an_operators_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFHOUSE_SANDBOX_PREFER", "L7")
    with pytest.raises(SandboxError, match=r"PROOFHOUSE_SANDBOX_PREFER is 'L7'.*L0, L1, L2, L3"):
        open_sandbox()


def test_an_unknown_processor_gets_level_1_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.sandbox.opening.MACHINES", {})
    with pytest.raises(SandboxError, match=r"L2: there is no system call filter for"):
        open_sandbox()


def test_the_self_test_is_quick_and_made_once(tmp_path: Path) -> None:
    started = time.monotonic()
    open_sandbox(required=Level.L1, scratch_root=tmp_path)
    first = time.monotonic() - started
    started = time.process_time()
    open_sandbox(required=Level.L1, scratch_root=tmp_path)
    assert time.process_time() - started < 0.1
    assert first < 20  # 0.15 s on a quiet machine
    assert list(tmp_path.iterdir()) == []
    assert processes_naming(str(tmp_path)) == []


def test_scratch_of_a_killed_owner_is_swept(tmp_path: Path) -> None:
    dead = tmp_path / "proofhouse-scratch-4194305-abc"  # above the largest process number
    (dead / "deep").mkdir(parents=True)
    other = tmp_path / "proofhouse-scratch-notes"
    other.mkdir()
    open_sandbox(required=Level.L1, scratch_root=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [other.name]
    shutil.rmtree(other)
