"""A child may ask its parent in the middle of a call, when there is somebody to answer."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.domain.errors import (
    ChildProtocolError,
    ChildRaisedError,
    ChildTimeoutError,
    EndpointDownError,
)
from tasks.sandbox.opening import ProvedSandbox
from tasks.sandbox.protocol import Array, Limits, Reply
from tests.tasks.sandbox.hostile import write_pickle

OPEN = "targets.unsafe_pickle.unsafe_pickle"
PREDICT = "targets.unsafe_pickle.predictions"
MODEL = """
from tasks.sandbox.asking import ask
class Model:
    def predict(self, inputs):
        return ask({"inputs": inputs}).arrays["answers"]
"""
INPUTS = np.random.default_rng(0).random((7, 4)).astype(np.float32)


def first_three(arrays: Any, values: Any) -> Reply:
    answers: Array = arrays["inputs"][:, :3].astype(np.float64) * 2
    return Reply({"answers": answers}, {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_pickle(tmp_path / "model.pkl", MODEL, "Model()")


def test_answers_reach_the_procedure_and_no_is_one_of_them(
    sandbox: ProvedSandbox, path: Path
) -> None:
    say_no = [False]

    def answering(arrays: Any, values: Any) -> Reply:
        if say_no[0]:
            raise EndpointDownError("it is down")
        return first_three(arrays, values)

    with sandbox.session((path,), answering=answering) as session:
        session.open(OPEN, path=str(path))
        for say_no[0] in (False, True, False):
            if say_no[0]:
                with pytest.raises(ChildRaisedError, match="UnansweredError: it is down"):
                    session.call(PREDICT, {"inputs": INPUTS})
            else:
                reply = session.call(PREDICT, {"inputs": INPUTS})
                np.testing.assert_allclose(reply.arrays["outputs"], 2 * INPUTS[:, :3])


def test_a_question_that_nobody_answers_is_a_broken_protocol(
    sandbox: ProvedSandbox, path: Path
) -> None:
    with sandbox.session((path,)) as session:
        session.open(OPEN, path=str(path))
        with pytest.raises(ChildProtocolError):
            session.call(PREDICT, {"inputs": INPUTS})


def test_the_time_of_answering_is_not_the_childs(sandbox: ProvedSandbox, path: Path) -> None:
    def slowly(arrays: Any, values: Any) -> Reply:
        time.sleep(2.5)
        return first_three(arrays, values)

    with sandbox.session((path,), Limits(call_seconds=2), answering=slowly) as session:
        session.open(OPEN, path=str(path))
        session.call(PREDICT, {"inputs": INPUTS})


ASKING = """
from tasks.sandbox import asking
while True:
    try:
        asking.ask({})
    except asking.UnansweredError:
        pass
"""


def test_a_child_cannot_live_on_questions(sandbox: ProvedSandbox, tmp_path: Path) -> None:
    # Refusals come at once, so that asking for ever is the child's own time.
    def answering(arrays: Any, values: Any) -> Reply:
        raise EndpointDownError("no")

    hostile = write_pickle(tmp_path / "hostile.pkl", ASKING)
    with (
        sandbox.session((hostile,), Limits(call_seconds=2), answering=answering) as session,
        pytest.raises(ChildTimeoutError),
    ):
        session.open(OPEN, path=str(hostile))


def test_a_bug_of_the_parent_ends_the_session(sandbox: ProvedSandbox, path: Path) -> None:
    def broken(arrays: Any, values: Any) -> Reply:
        raise ZeroDivisionError

    with sandbox.session((path,), answering=broken) as session:
        session.open(OPEN, path=str(path))
        with pytest.raises(ZeroDivisionError):
            session.call(PREDICT, {"inputs": INPUTS})
        assert session.pid is None
