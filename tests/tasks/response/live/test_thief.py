"""The attacker's side: it deals questions to accounts, learns what is shown, and gives up."""

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from tasks.domain.bundle import ModelSpec
from tasks.response.live.asking import Said
from tasks.response.live.record import Record
from tasks.response.live.thief import PATIENCE, BarredError, StolenTarget
from tests.tasks.response.live.fields import FakeLine

SPEC = ModelSpec.model_validate(
    {
        "name": "reader", "version": "1", "task": "classification", "artifact": "m.onnx",
        "input": {"shape": [3]}, "output": {"kind": "logits", "classes": 3},
    }
)  # fmt: skip
INPUTS = np.eye(3, dtype=np.float32)


def target(lines: Sequence[FakeLine], *, budget: int = 1000) -> StolenTarget:
    return StolenTarget(
        SPEC, lines, Record(), per_second=1e6, budget=budget, stop=threading.Event()  # type: ignore[arg-type]
    )  # fmt: skip


def test_questions_are_dealt_in_turn_and_answers_are_learnt() -> None:
    lines = [FakeLine("a", [True]), FakeLine("b", [True])]
    stolen = target(lines)
    scores = stolen.scores(np.repeat(INPUTS, 2, axis=0))
    assert [line.asked for line in lines] == [3, 3]
    assert scores.argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2]
    inputs, beliefs = stolen.leaked
    assert inputs.shape == (6, 3)
    np.testing.assert_allclose(beliefs.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(beliefs[0], [0.9, 0.05, 0.05], atol=1e-6)


def test_a_refused_question_goes_to_the_next_account() -> None:
    lines = [FakeLine("a", ["reauthenticate"]), FakeLine("b", [True])]
    stolen = target(lines)
    stolen.scores(np.repeat(INPUTS, 20, axis=0))
    assert lines[0].asked == PATIENCE
    assert len(stolen.leaked[0]) == 60


def test_when_every_account_is_barred_the_attack_is_over() -> None:
    stolen = target([FakeLine("a", [True, True, "key"])])
    with pytest.raises(BarredError):
        stolen.scores(np.repeat(INPUTS, 9, axis=0))
    assert len(stolen.leaked[0]) == 2


def test_a_throttled_account_is_not_given_up() -> None:
    slow = ["rate"] * (PATIENCE - 1) + [True]
    stolen = target([FakeLine("a", slow * 3)])
    stolen.scores(INPUTS)
    assert len(stolen.leaked[0]) == 3


def test_the_budget_ends_it() -> None:
    with pytest.raises(BarredError):
        target([FakeLine("a", [True])], budget=2).scores(INPUTS)


def test_nothing_leaked_is_empty_and_fits() -> None:
    inputs, beliefs = target([FakeLine("a", [True])]).leaked
    assert inputs.shape == (0, 3)
    assert beliefs.shape == (0, 3)


def test_an_answer_rounded_to_nothing_still_names_its_class() -> None:
    labels = np.array([[2], [0]])
    said = Said(200, labels=labels, probabilities=np.zeros((2, 1)))
    assert said.beliefs(3).argmax(axis=1).tolist() != [2, 0]
    whole = Said(200, labels=np.array([[2, 1, 0]]), probabilities=np.zeros((1, 3)))
    assert whole.beliefs(3).argmax(axis=1).tolist() == [2]
    assert Said(200, labels=labels).beliefs(3).tolist() == [[0, 0, 1], [1, 0, 0]]
