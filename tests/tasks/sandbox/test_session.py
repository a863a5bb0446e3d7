import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.domain.errors import (
    ChildDiedError,
    ChildProtocolError,
    ChildRaisedError,
    ChildTimeoutError,
    SandboxError,
)
from tasks.sandbox.opening import ProvedSandbox
from tasks.sandbox.protocol import Level, Limits
from tasks.sandbox.session import ChildSession
from tests.tasks.sandbox.hostile import processes_naming, wait_until_gone, write_pickle
from tests.tasks.sandbox.machine import sandbox_of

OPEN = "targets.unsafe_pickle.unsafe_pickle"
PREDICT = "targets.unsafe_pickle.predictions"
MODEL = """
import numpy as np
class Model:
    def predict(self, inputs): {body}
"""


def model(folder: Path, body: str) -> Path:
    return write_pickle(folder / "model.pkl", MODEL.format(body=body), "Model()")


def predict(sandbox: ProvedSandbox, path: Path, inputs: Any, limits: Limits = Limits()) -> Any:
    with sandbox.session((path,), limits) as session:
        session.open(OPEN, path=str(path))
        return session.call(PREDICT, {"inputs": np.asarray(inputs)}).arrays["outputs"]


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    return model(tmp_path, "return inputs")


def test_arrays_go_in_and_come_back(sandbox: ProvedSandbox, echo: Path) -> None:
    with sandbox.session((echo,)) as session:
        described = session.open(OPEN, path=str(echo))
        assert described == {"kind": "pickle", "type": "hostile.Model"}
        for dtype in ("?", "i1", "u2", "f2", "f4", "i8", "f8"):
            sent = np.arange(6).reshape(2, 3).astype(dtype)
            reply = session.call(PREDICT, {"inputs": sent})
            assert reply.arrays["outputs"].dtype == sent.dtype
            np.testing.assert_array_equal(reply.arrays["outputs"], sent)
            assert reply.values == {"queries": 2}
        empty = session.call(PREDICT, {"inputs": np.zeros((0, 7), np.float32)})
        assert empty.arrays["outputs"].shape == (0, 7)


def test_a_failed_call_does_not_end_the_session(sandbox: ProvedSandbox, echo: Path) -> None:
    with sandbox.session((echo,)) as session:
        with pytest.raises(ChildRaisedError, match="there is no procedure"):
            session.call("targets.no_such.thing")
        with pytest.raises(ChildRaisedError, match="must live in"):
            session.call("sandbox.opening.open_sandbox")
        with pytest.raises(ChildRaisedError, match=r"FileNotFoundError|PermissionError"):
            session.open(OPEN, path="/etc/hostname")
        with pytest.raises(ChildRaisedError, match="not a Reply"):
            session.call(OPEN, path=str(echo))
        assert session.open(OPEN, path=str(echo))["kind"] == "pickle"


def test_wrong_use_is_refused_before_anything_is_sent(sandbox: ProvedSandbox) -> None:
    with sandbox.session() as session:
        with pytest.raises(TypeError, match="do not cross"):
            session.call(PREDICT, {"inputs": np.array(["text"])})
        with pytest.raises(ValueError, match="JSON"):
            session.call(PREDICT, level=float("nan"))
        with pytest.raises(TypeError, match="JSON"):
            session.call(PREDICT, path=Path("/"))
        with pytest.raises(ChildRaisedError, match="missing 2 required"):
            session.call(PREDICT)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("return np.array([object()])", "do not cross"),
        ("return np.zeros(3, complex)", "do not cross"),
        ("return np.zeros(3, np.longdouble)", "does not cross"),
    ],
)
def test_answers_that_cannot_travel_are_errors_of_the_call(
    sandbox: ProvedSandbox, tmp_path: Path, body: str, problem: str
) -> None:
    with pytest.raises(ChildRaisedError, match=problem):
        predict(sandbox, model(tmp_path, body), [0.0])


def test_a_reply_is_capped(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    path = model(tmp_path, "return np.zeros(1 << 20)")
    with pytest.raises(ChildProtocolError, match="announces"):
        predict(sandbox, path, [0.0], Limits(reply_bytes=1 << 20))


def test_each_call_has_its_own_deadline(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    path = model(tmp_path, "import time; time.sleep(float(inputs[0])); return inputs")
    with sandbox.session((path,), Limits(call_seconds=1)) as session:
        session.open(OPEN, path=str(path))
        for _ in range(2):
            session.call(PREDICT, {"inputs": np.array([0.6])})
        with pytest.raises(ChildTimeoutError, match="within 1 seconds"):
            session.call(PREDICT, {"inputs": np.array([60.0])})
        assert session.pid is None


def test_an_unread_request_does_not_block_for_ever(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    # More than a pipe holds, to a child that is busy in a thread with the interpreter locked.
    path = model(tmp_path, "import os; os.kill(os.getpid(), 19)")
    with sandbox.session((path,), Limits(call_seconds=1)) as session:
        session.open(OPEN, path=str(path))
        assert session.pid is not None
        os.kill(session.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(ChildTimeoutError):
            session.call(PREDICT, {"inputs": np.zeros(4 << 20)})
        assert time.monotonic() - started < 4


def test_the_environment_is_empty_of_ours(
    sandbox: ProvedSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-leak")
    monkeypatch.setenv("PYTHONSTARTUP", "/tmp/x")  # noqa: S108  - never opened
    with sandbox.session(limits=Limits(threads=3)) as session:
        with pytest.raises(ChildRaisedError):  # from here on it has imported what it needs
            session.call("targets.no_such.thing")
        given = Path(f"/proc/{session.pid}/environ").read_text().rstrip("\0").split("\0")
        names = {line.partition("=")[0] for line in given}
        descriptors = sorted(Path(f"/proc/{session.pid}/fd").iterdir())
    assert "OMP_NUM_THREADS=3" in given
    assert not {n for n in names if n.startswith(("AWS", "PREFECT", "PYTHON"))}
    assert names <= {
        "HOME", "TMPDIR", "USER", "LANG", "PWD", "PROOFHOUSE_SANDBOX_LEVEL",
        "JOBLIB_MULTIPROCESSING", "ORT_DISABLE_TELEMETRY", "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS", "VECLIB_MAXIMUM_NUM_THREADS",
    }  # fmt: skip
    assert len(descriptors) <= 6  # three standard ones, two pipes and, it may be, the listener


def test_a_session_is_closed_once_and_for_all(sandbox: ProvedSandbox, echo: Path) -> None:
    session = sandbox.session((echo,))
    with pytest.raises(ChildDiedError, match="never started"):
        session.open(OPEN, path=str(echo))
    with session:
        session.open(OPEN, path=str(echo))
        pid = session.pid
    session.close()
    with pytest.raises(ChildDiedError, match="was closed"):
        session.open(OPEN, path=str(echo))
    assert not Path(f"/proc/{pid}").exists()


def test_cancelling_from_another_thread(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    path = model(tmp_path, "import time; time.sleep(60)")
    with sandbox.session((path,)) as session:
        session.open(OPEN, path=str(path))
        threading.Timer(0.3, session.close).start()
        started = time.monotonic()
        with pytest.raises(ChildDiedError, match="SIGKILL"):
            session.call(PREDICT, {"inputs": np.zeros(1)})
        assert time.monotonic() - started < 5
    assert processes_naming(str(tmp_path)) == []


def test_the_child_outlives_the_thread_that_started_it(sandbox: ProvedSandbox, echo: Path) -> None:
    # "Die with the parent" follows a thread; Dask's worker threads come and go.
    started: list[ChildSession] = []
    thread = threading.Thread(target=lambda: started.append(sandbox.session((echo,)).__enter__()))
    thread.start()
    thread.join()
    time.sleep(0.2)
    try:
        assert started[0].open(OPEN, path=str(echo))["kind"] == "pickle"
        with pytest.raises(RuntimeError, match="already entered"):
            started[0].__enter__()
    finally:
        started[0].close()


def test_sessions_at_once_do_not_disturb_each_other(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    path = model(tmp_path, "return inputs * 2")
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda n: predict(sandbox, path, [n]), range(4)))
    assert [int(answer[0]) for answer in answers] == [0, 2, 4, 6]
    assert processes_naming(str(tmp_path)) == []


PARENT = """
import sys
from pathlib import Path
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Level
level, path, scratch = Level(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
sandbox = open_sandbox(required=level, prefer=level, scratch_root=scratch)
with sandbox.session((path,)) as session:
    print(session.pid, flush=True)
    session.open("targets.unsafe_pickle.unsafe_pickle", path=str(path))
"""


def test_the_child_dies_with_its_parent(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    path = write_pickle(tmp_path / "model.pkl", "print(1)\nwhile True: pass")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(sandbox.level), str(path), str(scratch)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.7)  # by now it spins in the pickle
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    assert wait_until_gone(str(tmp_path), seconds=2) < 2


BUSY = """
import os, sys
from pathlib import Path
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Level
from tasks.sandbox.seccomp import LISTENER
level, scratch = Level(sys.argv[1]), Path(sys.argv[2])
sandbox = open_sandbox(required=level, prefer=level, scratch_root=scratch)
while os.open("/dev/null", os.O_RDONLY) < LISTENER - 10:
    pass
for _ in range(12):
    with sandbox.session() as session:
        print(session.attempts, flush=True)
    os.open("/dev/null", os.O_RDONLY)
"""


def test_a_parent_may_have_many_files_open(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    # In turn, each of the pipes gets the very number that the filter's listener is kept at.
    ran = subprocess.run(
        [sys.executable, "-c", BUSY, str(sandbox.level), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert (ran.returncode, ran.stdout.split()) == (0, ["{}"] * 12), ran.stderr[-500:]


def test_killing_the_child_is_an_answer(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    path = model(tmp_path, "print('about to hang'); import time; time.sleep(60)")
    with sandbox.session((path,)) as session:
        session.open(OPEN, path=str(path))
        pid = session.pid
        assert pid is not None
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(ChildDiedError, match=r"signal 9, SIGKILL"):
            session.call(PREDICT, {"inputs": np.zeros(1)})


def test_a_child_that_cannot_be_confined_is_not_used(
    sandbox: ProvedSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tasks.sandbox.process.Child.is_confined", lambda _: False)
    with pytest.raises(SandboxError, match="cannot be seen from outside"):
        sandbox.session().__enter__()
    assert list(tmp_path.iterdir()) == []


def test_the_child_goes_first_when_memory_runs_out(sandbox: ProvedSandbox) -> None:
    with sandbox.session() as session:
        assert Path(f"/proc/{session.pid}/oom_score_adj").read_text().strip() == "1000"


def test_more_paths_than_a_command_line_holds(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    many = tuple(tmp_path / f"{number:04}" for number in range(4000))
    with pytest.raises(ValueError, match="name their folder"):
        sandbox.session(many).__enter__()


def test_no_room_for_scratch_is_said(tmp_path: Path) -> None:
    sandbox = sandbox_of(Level.L2, tmp_path)
    gone = ProvedSandbox(sandbox._proof, tmp_path / "gone")
    with pytest.raises(SandboxError, match="could not be started"):
        gone.session().__enter__()


def test_unreachable_inputs_stop_the_start_with_a_reason(
    sandbox: ProvedSandbox, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.onnx"
    if sandbox.level == Level.L3:
        with pytest.raises(SandboxError, match=r"missing\.onnx"):
            sandbox.session((missing,)).__enter__()
