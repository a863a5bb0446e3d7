"""The extraction check: copies are counted honestly, repeat themselves, and cost what they say."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.attacks.extraction.knockoff import knockoff, queries
from tasks.checks.extraction.agreement import chance_corrected, paired_gain, worst
from tasks.checks.extraction.fidelity import measure
from tasks.checks.extraction.quota import recommended
from tasks.checks.lab import Examples, NotAvailable
from tasks.domain.bundle import ModelSpec
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Outcome
from tasks.sandbox.protocol import Array
from tasks.targets.torch_target import TorchTarget
from tests.simulators.endpoint import v2
from tests.tasks.checks.test_endpoint import ran, reader
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
    assert found.estimates["fidelity_off_distribution"].n == 399
    assert found.estimates["gain"].high < 0.1
    assert [(control.name, control.held) for control in found.controls] == [
        ("linear rule", True),
        ("dice", True),
    ]
    curve = json.loads(lab._store.get(found.artifacts[0].digest))
    assert [point["queries"] for point in curve["points"]] == [18, 60, 180, 600]
    assert curve["points"][0]["fidelity"] < curve["points"][-1]["fidelity"]
    quota = json.loads(lab._store.get(found.artifacts[1].digest))
    assert quota["schema"] == "proofhouse.quota/1"
    assert quota["queries_per_client"] == found.facts["quota_queries"] == 600
    assert quota["alert_at_queries"] == 300
    # 600 for the copies of every arm, 798 to compare, 32 asked again.
    assert found.cost.queries == 600 + 798 + 32
    assert found.facts["sequential_test"].startswith("below 0.1 after ")  # type: ignore[union-attr]


def test_a_model_that_answers_differently_every_time_cannot_pass(tmp_path: Path) -> None:
    measurement, finding, _ = ran(CHECK, v2(undecided), tmp_path)
    assert measurement.alarms
    assert finding.outcome is not Outcome.PASS


def undecided(inputs: Array) -> Array:
    scores = reader(inputs)
    noise: Array = np.random.default_rng().normal(0, scores.std(), scores.shape)
    return scores + noise


def shuffled(rows: Examples) -> Examples:
    return rows._replace(labels=np.random.default_rng(0).permutation(rows.labels))


def of_one_class(rows: Examples) -> Examples:
    return rows._replace(labels=np.zeros_like(rows.labels))


ODD_LABELS = {"shuffled": (shuffled, "little to do"), "one class": (of_one_class, "one class")}


@pytest.mark.parametrize(("spoil", "said"), ODD_LABELS.values(), ids=ODD_LABELS.keys())
def test_labels_that_teach_nothing_accuse_nobody(
    spoil: Callable[[Examples], Examples], said: str, tmp_path: Path
) -> None:
    write_model(tmp_path, trained())
    lab = lab_for(tmp_path, CHECK, model=description(), evaluation=spoil(digits().test))
    with pytest.raises(NotAvailable, match=said):
        measure(lab)


def test_needs_enough_rows(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    few = Examples(digits().test.inputs[:20], digits().test.labels[:20])
    with pytest.raises(NotAvailable, match="too few"):
        measure(lab_for(tmp_path, CHECK, model=description(), evaluation=few))


def test_equal_seeds_give_equal_copies_and_queries_are_counted() -> None:
    torch.manual_seed(0)
    model = ModelSpec.model_validate(description(shape=(4,), classes=3))
    target = TorchTarget(torch.nn.Linear(4, 3), model, kind="test")
    rows = np.random.default_rng(0).random((150, 4)).astype(np.float32)
    labels = rows[:50, :3].argmax(axis=1)
    owned = {"pool": rows[:50], "labels": labels, "held_out": rows[50:]}
    first, again, other = (
        knockoff(target, **owned, budgets=[20, 70], seed=seed) for seed in (1, 1, 2)
    )
    assert first.values["queries"] == 70
    for name in ("curve", "arms", "baseline"):
        np.testing.assert_array_equal(first.arrays[name], again.arrays[name])
    assert not np.array_equal(first.arrays["curve"], other.arrays["curve"])
    np.testing.assert_array_equal(first.arrays["curve"][-1], first.arrays["arms"][0])


def test_larger_budgets_begin_with_the_same_questions() -> None:
    pool = digits().test.inputs[:50]
    small, large = (queries(pool, budget, (0, 1), seed=3) for budget in (30, 120))
    np.testing.assert_array_equal(small, large[:30])
    assert large.shape == (120, 1, 8, 8)
    assert large.min() >= 0
    assert large.max() <= 1


CURVES: dict[str, tuple[list[float], tuple[int, int | None]]] = {
    "never crossed": ([-0.2, 0.0, 0.05], (1000, None)),
    "crossed": ([-0.2, 0.05, 0.3], (100, 1000)),
    "crossed at once": ([0.3, 0.3, 0.3], (0, 10)),
    "crossed and back": ([0.0, 0.3, 0.0], (10, 100)),
}


@pytest.mark.parametrize(("values", "wanted"), CURVES.values(), ids=CURVES.keys())
def test_the_quota_ends_before_the_gain_may_pass_what_is_tolerated(
    values: list[float], wanted: tuple[int, int | None]
) -> None:
    gains = [Estimate(value=v, low=v - 0.03, high=v + 0.03, n=400) for v in values]
    quota = recommended([10, 100, 1000], gains, 0.1)
    assert (quota.queries, quota.crossed_at) == wanted
    assert quota.alert_at == wanted[0] // 2


def test_the_worst_gain_is_above_when_one_is_and_below_when_all_are() -> None:
    one, other = (
        Estimate(value=v, low=v - 0.1, high=v + 0.2, confidence=0.975, n=50) for v in (0.1, 0.3)
    )
    found = worst([one, other])
    assert (found.value, found.low, found.high) == (0.3, other.low, other.high)
    assert found.confidence == pytest.approx(0.95)


def test_kappa_is_agreement_beyond_chance() -> None:
    labels = np.repeat([0, 1], [90, 10])
    assert chance_corrected(labels, labels, 2) == 1
    assert chance_corrected(np.zeros(100, np.int64), labels, 2) == 0
    assert chance_corrected(np.zeros(9, np.int64), np.zeros(9, np.int64), 2) == 0


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
