"""Hostile models at load and at predict (scorecard rows 1, 14, 64, 65), with real processes."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tasks.domain.errors import (
    ChildDiedError,
    ChildError,
    ChildForbiddenError,
    ChildIdleError,
    ChildMemoryError,
    ChildProtocolError,
    ChildRaisedError,
    ChildScratchError,
    ChildSignalledError,
    ChildSpinningError,
    ChildStorageError,
    ChildThreadsError,
)
from tasks.sandbox.opening import ProvedSandbox, open_sandbox
from tasks.sandbox.protocol import Level, Limits
from tests.tasks.sandbox.hostile import processes_naming, wait_until_gone, write_pickle
from tests.tasks.sandbox.machine import sandbox_of

OPEN = "targets.unsafe_pickle.unsafe_pickle"
PREDICT = "targets.unsafe_pickle.predictions"
INPUTS = np.zeros((2, 3), np.float32)


@pytest.fixture(params=[Level.L3, Level.L2])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProvedSandbox]:
    scratch_root = tmp_path / "scratch"
    scratch_root.mkdir()
    yield sandbox_of(request.param, scratch_root)
    wait_until_gone(str(tmp_path), seconds=1)
    assert list(scratch_root.iterdir()) == []


class Case(NamedTuple):
    source: str
    expected: type[ChildError] | tuple[type[ChildError], ...]
    says: str
    seconds: float = 20.0


AT_LOAD = {
    "sleeps": Case("import time; time.sleep(60)", ChildIdleError, "1 seconds", 1.0),
    "spins": Case("while True: pass", ChildSpinningError, "1 seconds", 1.0),
    "forks": Case("import os\nwhile True: os.fork()", ChildForbiddenError, "PermissionError"),
    "allocates": Case("x = bytearray(20 << 30)", ChildMemoryError, "MemoryError"),
    "execs": Case(
        "import os; os.execv('/bin/sh', ['sh', '-c', 'id'])", ChildForbiddenError, "PermissionError"
    ),
    "opens a socket": Case(
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        ChildForbiddenError,
        "PermissionError",
    ),
    "writes outside": Case("open('/owned', 'w')", ChildForbiddenError, "PermissionError|Read-only"),
    "writes a huge file": Case(
        "open('huge', 'wb').truncate(20 << 30)",
        (ChildStorageError, ChildSignalledError),
        "File too large|SIGXFSZ",
    ),
    "starts threads": Case(
        """
import threading, time
threading.stack_size(32768)
while True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
""",
        ChildThreadsError,
        "ran more than 64 threads",
    ),
    "exits": Case("import os; os._exit(3)", ChildDiedError, "exit status 3"),
    "leaves politely": Case("raise SystemExit(0)", ChildRaisedError, "SystemExit"),
    "crashes": Case("import ctypes; ctypes.string_at(8)", ChildSignalledError, "SIGSEGV"),
    "aborts": Case("import os; os.abort()", ChildSignalledError, "SIGABRT"),
    "kills itself": Case(
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ChildSignalledError, "SIGKILL"
    ),
    "stops itself": Case(
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
        ChildIdleError,
        "1 seconds",
        1.0,
    ),
    "closes every pipe": Case(
        "import os, time; os.closerange(0, 256); time.sleep(60)", ChildProtocolError, "closed"
    ),
    "writes garbage everywhere": Case(
        """
import os
for fd in range(256):
    try: os.write(fd, b"\\xff" * 64)
    except OSError: pass
""",
        ChildProtocolError,
        "announces",
    ),
    "forges half a frame and dies": Case(
        """
import os, struct
for fd in range(3, 256):
    try: os.write(fd, struct.pack("<IQ", 100, 0) + b'{"id": 1')
    except OSError: pass
os._exit(0)
""",
        ChildDiedError,
        "exit status 0",
    ),
    "forges an answer to another question": Case(
        """
import os, struct
for fd in range(3, 256):
    try: os.write(fd, struct.pack("<IQ", 22, 0) + b'{"id":9,"values":{  }}')
    except OSError: pass
""",
        ChildProtocolError,
        "not an answer to it",
    ),
    "forges the failure of another question": Case(
        """
import os, struct
text = b'{"id":9,"raised":{"type":"E","message":"m"}}'
for fd in range(3, 256):
    try: os.write(fd, struct.pack("<IQ", len(text), 0) + text)
    except OSError: pass
""",
        ChildProtocolError,
        "not an answer to it",
    ),
    "raises terminal escapes": Case(
        "raise type('\\x1b[2J', (Exception,), {})('\\x1b]0;owned\\x07\\r\\nPASS \\u202e')",
        ChildRaisedError,
        "raised  ?",
    ),
    "raises what cannot be shown": Case(
        """
class Bad(Exception):
    def __str__(self): raise SystemExit
raise Bad
""",
        ChildRaisedError,
        "cannot be shown",
    ),
}


@pytest.mark.parametrize("case", AT_LOAD.values(), ids=AT_LOAD)
def test_a_model_that_misbehaves_at_load_is_contained(
    sandbox: ProvedSandbox, case: Case, tmp_path: Path
) -> None:
    path = write_pickle(tmp_path / "model.pkl", case.source)
    started = time.monotonic()
    with sandbox.session((path,), Limits(call_seconds=case.seconds)) as session:
        with pytest.raises(case.expected, match=case.says) as caught:
            session.open(OPEN, path=str(path))
        if not isinstance(caught.value, ChildRaisedError):
            assert processes_naming(str(tmp_path)) == []
    assert time.monotonic() - started < case.seconds + 8
    assert str(caught.value).isprintable()


AT_PREDICT = (
    "sleeps", "spins", "forks", "allocates", "execs", "opens a socket", "writes outside",
    "writes a huge file", "starts threads", "exits", "crashes", "kills itself",
    "writes garbage everywhere",
)  # fmt: skip
"""Also tried after the model was opened and looked at: code inside ``predict``."""
PATIENT = """
class Model:
    def predict(self, inputs): exec(ACT, {{}})
ACT = {act!r}
"""


@pytest.mark.parametrize("name", AT_PREDICT)
def test_a_model_that_misbehaves_when_asked_is_contained_alike(
    sandbox: ProvedSandbox, name: str, tmp_path: Path
) -> None:
    case = AT_LOAD[name]
    source = PATIENT.format(act=case.source)
    path = write_pickle(tmp_path / "model.pkl", source, "Model()")
    with sandbox.session((path,), Limits(call_seconds=case.seconds)) as session:
        session.open(OPEN, path=str(path))
        with pytest.raises(case.expected, match=case.says) as caught:
            session.call(PREDICT, {"inputs": INPUTS})
        if not isinstance(caught.value, ChildRaisedError):
            assert processes_naming(str(tmp_path)) == []


def test_every_kind_of_act_has_a_code_of_its_own() -> None:
    kinds = [
        ChildIdleError, ChildSpinningError, ChildForbiddenError, ChildMemoryError,
        ChildStorageError, ChildScratchError, ChildThreadsError, ChildSignalledError,
        ChildDiedError, ChildProtocolError, ChildRaisedError,
    ]  # fmt: skip
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_an_object_that_lies_in_every_attribute_stays_inside(
    sandbox: ProvedSandbox, tmp_path: Path
) -> None:
    source = """
class Liar:
    def __getattr__(self, name): raise MemoryError
    def __len__(self): return 1 << 62
    def __del__(self): print("\\x1b[31mdeleted" * 1000)
    def __array__(self, *a, **k): raise KeyboardInterrupt
    @property
    def __class__(self): raise RecursionError
"""
    path = write_pickle(tmp_path / "model.pkl", source, "Liar()")
    with sandbox.session((path,)) as session:
        session.open(OPEN, path=str(path))
        with pytest.raises(ChildRaisedError, match="MemoryError"):
            session.call(PREDICT, {"inputs": INPUTS})
        session.open(OPEN, path=str(path))


def test_printing_megabytes_neither_blocks_nor_breaks(
    sandbox: ProvedSandbox, tmp_path: Path
) -> None:
    source = """
import numpy, sys
class Model:
    def predict(self, inputs):
        sys.stdout.write("{}" * (8 << 20)); sys.stdout.flush()
        return inputs + 1
"""
    path = write_pickle(tmp_path / "model.pkl", source, "Model()")
    with sandbox.session((path,), Limits(call_seconds=20)) as session:
        session.open(OPEN, path=str(path))
        reply = session.call(PREDICT, {"inputs": INPUTS})
    np.testing.assert_array_equal(reply.arrays["outputs"], INPUTS + 1)


def test_speaking_before_being_asked_ends_the_child(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    source = """
import os, threading, time
def speak():
    time.sleep(0.3)
    for fd in range(3, 256):
        try: os.write(fd, b"x" * 12)
        except OSError: pass
threading.Thread(target=speak, daemon=True).start()
"""
    path = write_pickle(tmp_path / "model.pkl", source)
    with sandbox.session((path,)) as session:
        session.open(OPEN, path=str(path))
        time.sleep(0.8)
        with pytest.raises(ChildProtocolError, match="before it was asked"):
            session.call(PREDICT, {"inputs": INPUTS})
        with pytest.raises(ChildDiedError, match="no child to run"):
            session.call(PREDICT, {"inputs": INPUTS})


@pytest.mark.parametrize("hidden", [False, True], ids=["in files", "in unlinked files"])
def test_filling_the_disk_is_stopped(sandbox: ProvedSandbox, hidden: bool, tmp_path: Path) -> None:
    source = f"""
import os
held = []
for number in range(200):
    file = open(f"filler-{{number}}", "wb", buffering=0); held.append(file)
    if {hidden}: os.unlink(file.name)
    for _ in range(16): file.write(bytes(1 << 20))
"""
    path = write_pickle(tmp_path / "model.pkl", source)
    limits = Limits(scratch_bytes=64 << 20, call_seconds=30)
    with (
        sandbox.session((path,), limits) as session,
        pytest.raises((ChildScratchError, ChildStorageError), match=r"scratch|No space left"),
    ):
        session.open(OPEN, path=str(path))


def test_a_maze_of_folders_is_removed(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    source = """
import os
for _ in range(2200):
    os.mkdir("d", 0o700); os.chdir("d")
os.symlink("/", "root"); open("file", "w").write("x")
os.mkdir("closed", 0)
"""
    path = write_pickle(tmp_path / "model.pkl", source)
    with sandbox.session((path,)) as session, contextlib.suppress(ChildDiedError):
        session.open(OPEN, path=str(path))


def test_one_file_cannot_outgrow_its_limit(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    source = "open('big', 'wb').write(bytes(2 << 20))"
    path = write_pickle(tmp_path / "model.pkl", source)
    with (
        sandbox.session((path,), Limits(file_bytes=1 << 20)) as session,
        pytest.raises((ChildSignalledError, ChildStorageError), match=r"SIGXFSZ|File too large"),
    ):
        session.open(OPEN, path=str(path))


def test_below_level_2_nothing_is_unpickled(tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "model.pkl", "raise AssertionError('it ran')")
    sandbox = open_sandbox(required=Level.L1, prefer=Level.L1, scratch_root=tmp_path)
    with (
        sandbox.session((path,)) as session,
        pytest.raises(ChildRaisedError, match="PermissionError: this needs a sandbox child of"),
    ):
        session.open(OPEN, path=str(path))
