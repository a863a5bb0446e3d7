"""What a model tries and keeps quiet about is told by the kernel, and honest models try nothing."""

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier

from tasks.domain.errors import ChildStubbornError
from tasks.sandbox import process, session
from tasks.sandbox.opening import ProvedSandbox
from tasks.sandbox.protocol import Level
from tests.conformance.test_targets import KINDS
from tests.tasks.sandbox.hostile import write_pickle
from tests.tasks.sandbox.machine import sandbox_of
from tests.tasks.targets.models import description, digits

OPEN = "targets.unsafe_pickle.unsafe_pickle"
PREDICT = "targets.unsafe_pickle.predictions"
QUIET = """
import ctypes, os, socket
LIBC = ctypes.CDLL(None, use_errno=True)
def local(): socket.socket(socket.AF_UNIX)  # as the C library does, to ask for names
def attempt(way):
    try: way()
    except OSError: pass
ACTS = {acts}
def act():
    for way in ACTS: attempt(way)
class Model:
    def predict(self, inputs):
        act()
        return inputs
"""
ACTS = {
    "socket": "socket.socket",
    "clone": "os.fork",
    "execve": "lambda: os.execv('/bin/sh', ['sh'])",
    "setsid": "os.setsid",
    "kill": "lambda: os.kill(1, 9)",
    "unshare": "lambda: LIBC.unshare(0x10000000)",
    "ptrace": "lambda: LIBC.ptrace(16, 1, 0, 0)",
}


@pytest.fixture(params=[Level.L3, Level.L2])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> ProvedSandbox:
    return sandbox_of(request.param, tmp_path)


def quiet(folder: Path, acts: str, *, at_load: bool) -> Path:
    source = QUIET.format(acts=acts) + ("act()" if at_load else "")
    return write_pickle(folder / "model.pkl", source, "Model()")


@pytest.mark.parametrize("at_load", [True, False], ids=["at load", "at predict"])
def test_refusals_are_told_though_the_model_swallows_them(
    sandbox: ProvedSandbox, at_load: bool, tmp_path: Path
) -> None:
    path = quiet(tmp_path, f"[local, {', '.join(ACTS.values())}]", at_load=at_load)
    with sandbox.session((path,)) as child:
        child.open(OPEN, path=str(path))
        assert child.attempts == (dict.fromkeys(ACTS, 1) if at_load else {})
        child.call(PREDICT, {"inputs": np.zeros(1)})
        assert child.attempts == dict.fromkeys(ACTS, 2 if at_load else 1)


def test_without_a_listener_the_walls_stand_alike(
    sandbox: ProvedSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "witness_of", lambda _: None)
    path = quiet(tmp_path, "[os.fork]", at_load=True)
    with sandbox.session((path,)) as child:
        child.open(OPEN, path=str(path))
        assert child.attempts == {}


def test_the_child_has_no_listener_of_its_own(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    held = "[lambda: print(1 / 0 if os.fstat(60) else 0)]"  # no OSError would be an error
    path = quiet(tmp_path, held, at_load=True)
    with sandbox.session((path,)) as child:
        child.open(OPEN, path=str(path))


def test_one_who_never_stops_trying_is_ended(
    sandbox: ProvedSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_MOST_ATTEMPTS", 50)
    path = quiet(tmp_path, "[os.setsid] * 1_000_000", at_load=True)
    with (
        sandbox.session((path,)) as child,
        pytest.raises(ChildStubbornError, match="more than 50 forbidden calls"),
    ):
        child.open(OPEN, path=str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_model_of_any_kind_tries_nothing(kind: str, tmp_path: Path) -> None:
    sandbox = sandbox_of(Level.L2, tmp_path)
    name = KINDS[kind][0](tmp_path)
    architecture = tmp_path / "layers.yaml"
    given = architecture if architecture.exists() else None
    readable = tuple(path for path in (tmp_path / name, given) if path)
    with sandbox.session(readable) as child:
        child.open(
            "targets.opening.open_target",
            artifact=str(tmp_path / name),
            architecture=str(given) if given else None,
            model=description(artifact=name),
        )
        inputs = digits().train.inputs[:8].astype(np.float32)
        child.call("targets.querying.scores", {"inputs": inputs})
        assert child.attempts == {}


def test_an_honest_model_that_would_like_more_processes_tries_none(tmp_path: Path) -> None:
    # joblib's pools are switched off in the child, or each such ensemble would look hostile.
    sandbox = sandbox_of(Level.L2, tmp_path)
    rows = digits().train.inputs[:100].reshape(100, -1), digits().train.labels[:100]
    path = tmp_path / "model.joblib"
    joblib.dump(BaggingClassifier(n_estimators=4, n_jobs=4).fit(*rows), path)
    with sandbox.session((path,)) as child:
        child.open(OPEN, path=str(path))
        child.call(PREDICT, {"inputs": rows[0][:8]})
        assert child.attempts == {}
