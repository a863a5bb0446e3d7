"""One wall off at a time: what gets out then, and what another wall still stops.

The table is a measurement, not a wish: where taking one wall away opens a way, that wall is the
only one there (a single point), and the README says so.
"""

import os
from pathlib import Path

import pytest

from tasks.domain.errors import ChildError
from tasks.sandbox import landlock, selftest, walls
from tasks.sandbox.protocol import Level, Limits
from tasks.sandbox.scratch import make_scratch, remove_scratch
from tasks.sandbox.session import ChildSession
from tests.tasks.sandbox.hostile import write_pickle
from tests.tasks.sandbox.machine import sandbox_of, skip_without_parts_for

LAUNCHER = Path(walls._LAUNCHER)
WEAKENED = """
import importlib.util, json, sys
plan = json.loads(sys.argv[1])
spec = importlib.util.spec_from_file_location("launcher", {launcher!r})
launcher = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launcher)
launcher.find_package(plan["package"])
from tasks.sandbox import kernel, landlock, seccomp
nothing = lambda *_, **__: None
{off}
launcher.main()
"""
OFF = {
    "none": "",
    "Landlock": "landlock.restrict = nothing",
    "filter": "launcher._filter = nothing",
    "limits": "launcher._limit = nothing",
    "capabilities": "kernel.drop_capabilities = nothing",
}
FILES = {"read_outside", "list_outside", "write_outside"}
PROCESSES = {"fork", "double_fork_setsid"}
SENT = {"udp_send", "socket_pair"}
OPENED: dict[tuple[str, Level], set[str]] = {
    ("none", Level.L3): set(),
    ("none", Level.L2): set(),
    ("Landlock", Level.L3): set(),  # the mount namespace has no such files, the filter no sockets
    ("Landlock", Level.L2): FILES,
    ("filter", Level.L3): PROCESSES | SENT | {"privileges"},  # into an empty network
    ("filter", Level.L2): PROCESSES
    | SENT
    | {"privileges", "change_mode_outside", "ptrace_stranger"},
    ("limits", Level.L3): {"memory_over_limit"},  # its own file system bounds every file
    ("limits", Level.L2): {"memory_over_limit", "file_over_limit"},
    ("capabilities", Level.L3): set(),  # bubblewrap took them already
    ("capabilities", Level.L2): {"privileges"} if os.geteuid() == 0 else set(),
}
"""What gets out without the wall; ``privileges`` only says that the wall's absence is seen."""
ELSEWHERE = {
    "user_namespace",  # forbidden by some systems anyway
    "ptrace_stranger",  # Yama and container engines forbid it, or not
    "read_memory_of_stranger",
    *(() if landlock.abi() >= 6 else ("tcp_connect", "abstract_socket", "signal_stranger")),
}
"""What depends on the machine and not on our walls, once ours are gone."""


def open_ways(level: Level, wall: str, folder: Path) -> set[str]:
    """Runs every attempt of the self-test at ``level`` without ``wall``; returns what got out."""
    script = folder / "weakened.py"
    script.write_text(WEAKENED.format(launcher=str(LAUNCHER), off=OFF[wall]))
    scratch = make_scratch(folder, None)
    try:
        with pytest.MonkeyPatch.context() as patched, selftest._bait() as options:
            patched.setattr(walls, "_LAUNCHER", str(script))
            order = selftest._order(level, str(scratch), None, options)
            said, log = selftest._run(order._replace(readable=(str(script),)))
    finally:
        remove_scratch(scratch)
    assert said, log
    answers = {name: said.get(name, (False, "no report")) for name in selftest.asked_of(level)}
    # A process that cannot even be named was not reached.
    return {name for name, (shut, told) in answers.items() if not shut and told != "only ESRCH"}


@pytest.mark.parametrize("level", [Level.L3, Level.L2])
@pytest.mark.parametrize("wall", OFF)
def test_what_gets_out_without_one_wall(wall: str, level: Level, tmp_path: Path) -> None:
    skip_without_parts_for(level)
    opened = open_ways(level, wall, tmp_path)
    assert opened - ELSEWHERE == OPENED[wall, level] - ELSEWHERE


FILLS = """
import time
for number in range(48):
    open(f"filler-{number}", "wb").write(bytes(1 << 20))
time.sleep(1)  # the watcher looks every 0.2 s
"""
THREADS = """
import threading, time
for _ in range(90): threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
time.sleep(1)
"""
UNWATCHED: dict[tuple[str, Level], str] = {
    (FILLS, Level.L3): "No space left",  # its own file system has a size
    (FILLS, Level.L2): "",
    (THREADS, Level.L3): "",
    (THREADS, Level.L2): "",
}


@pytest.mark.parametrize(("act", "level"), UNWATCHED)
def test_what_gets_out_without_the_watcher(
    act: str, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = sandbox_of(level, tmp_path)
    path = write_pickle(tmp_path / "model.pkl", act)
    limits = Limits(scratch_bytes=16 << 20, call_seconds=60)
    unwatched = UNWATCHED[act, level]
    with sandbox.session((path,), limits) as session, pytest.raises(ChildError):
        session.open("targets.unsafe_pickle.unsafe_pickle", path=str(path))
    monkeypatch.setattr(ChildSession, "_look_after", lambda *_: None)
    with sandbox.session((path,), limits) as session:
        if unwatched:
            with pytest.raises(ChildError, match=unwatched):
                session.open("targets.unsafe_pickle.unsafe_pickle", path=str(path))
        else:
            session.open("targets.unsafe_pickle.unsafe_pickle", path=str(path))
