"""The extraction check: copies are counted honestly, repeat themselves, and cost what they say."""

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.attacks.extraction.knockoff import knockoff, queries
from tasks.attacks.extraction.students import believed
from tasks.checks.extraction.fidelity import measure, paired_gain
from tasks.checks.lab import Examples, NotAvailable
from tasks.domain.bundle import ModelSpec
from tasks.targets.torch_target import TorchTarget
from tests.tasks.targets.models import description, digits, lab_for, trained, write_model

CHECK = "extraction.fidelity"


def test_copies_a_digit_reader(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    lab = lab_for(
        tmp_path, CHECK, model=description(), evaluation=digits().test, parameters={"queries": 600}
    )
    found = measure(lab)
    assert found.estimates["fidelity"].value > 0.93
    assert found.estimates["fidelity"].n == 399
    assert found.estimates["gain"].high < 0.1
    assert [(control.name, control.held) for control in found.controls] == [
        ("linear rule", True),
        ("dice", True),
    ]
    curve = json.loads(lab._store.get(found.artifacts[0].digest))
    assert [point["queries"] for point in curve] == [60, 180, 600]
    assert curve[0]["fidelity"] < curve[-1]["fidelity"]


def test_needs_enough_rows(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    few = Examples(digits().test.inputs[:20], digits().test.labels[:20])
    with pytest.raises(NotAvailable, match="too few"):
        measure(lab_for(tmp_path, CHECK, model=description(), evaluation=few))


def test_equal_seeds_give_equal_copies_and_queries_are_counted() -> None:
    target = TorchTarget(trained(), ModelSpec.model_validate(description()), kind="test")
    pool, held_out = digits().test.inputs[:50], digits().test.inputs[50:150]
    first, again, other = (
        knockoff(target, pool=pool, held_out=held_out, budgets=[70], seed=seed)
        for seed in (1, 1, 2)
    )
    assert first.values["queries"] == 70
    np.testing.assert_array_equal(first.arrays["students"], again.arrays["students"])
    assert not np.array_equal(first.arrays["students"], other.arrays["students"])


def test_larger_budgets_begin_with_the_same_questions() -> None:
    pool = digits().test.inputs[:50]
    small, large = (queries(pool, budget, (0, 1), seed=3) for budget in (30, 120))
    np.testing.assert_array_equal(small, large[:30])
    assert large.shape == (120, 1, 8, 8)
    assert large.min() >= 0
    assert large.max() <= 1


def test_labels_hide_how_sure_the_model_is() -> None:
    scores = np.array([[1000.0, 0, -1000], [1, 1.5, 1]], np.float32)
    np.testing.assert_array_equal(believed(scores, labels_only=True), np.eye(3)[[0, 1]])
    np.testing.assert_allclose(believed(scores, labels_only=False).sum(axis=1), 1)


GAINS = {
    "copied": (np.ones(100, bool), np.zeros(100, bool), 1.0),
    "nothing": (np.ones(100, bool), np.ones(100, bool), 0.0),
    "half": (np.arange(100) < 50, np.zeros(100, bool), 0.5),
}


@pytest.mark.parametrize(("copy", "baseline", "value"), GAINS.values(), ids=GAINS.keys())
def test_a_gain_has_an_interval(
    copy: np.ndarray[tuple[int], np.dtype[np.bool_]],
    baseline: np.ndarray[tuple[int], np.dtype[np.bool_]],
    value: float,
) -> None:
    gain = paired_gain(copy, baseline)
    assert gain.value == value
    assert gain.low < gain.high
    assert gain.n == 100


def test_the_interval_of_a_gain_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(500):
        baseline = rng.random(200) < 0.8
        copy = np.where(rng.random(200) < 0.3, rng.random(200) < 0.95, baseline)
        gain = paired_gain(copy, baseline)
        held += gain.low <= 0.3 * (0.95 - 0.8) <= gain.high
    assert held >= 465  # 95 % of 500, less three standard errors
