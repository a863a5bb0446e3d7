"""A robustness gate stops when its answer is settled, and says what that took."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import plan_checks
from tasks.checks.evasion import l2_robust_accuracy, linf_robust_accuracy
from tasks.checks.evasion.cascade import Budget, Cascade
from tasks.checks.evasion.schedule import nearest_aims
from tasks.checks.evasion.settling import BLOCK, attack_block, bench_of, settle
from tasks.checks.lab import Examples, Lab
from tasks.checks.parts import keep_part, kept_part
from tasks.domain.digest import digest_of
from tasks.domain.finding import Outcome, RiskTier
from tasks.judging.gates import judge
from tasks.sandbox.protocol import Reply
from tasks.statistics.betting import Settled, confidence_sequence, duel
from tests.simulators.store import MemoryStore
from tests.tasks.targets.models import description, digits, lab_for, trained, write_model

LIGHT = {"epsilon": 0.1, "points": 150, "steps": 8, "square_queries": 20}


def bench(folder: Path, check: str = "evasion.linf_robust_accuracy", **parameters: Any) -> Lab:
    write_model(folder, trained(adversarial_epsilon=0.1))
    return lab_for(
        folder,
        check,
        model=description(),
        evaluation=digits().test,
        parameters=LIGHT | parameters,
    )


@pytest.mark.parametrize(
    ("settle_at", "answer", "blocks"), [(0.2, "above", 1), (0.98, "below", 1), (0.7, "open", 3)]
)
def test_stops_as_soon_as_the_answer_is_settled(
    tmp_path: Path, settle_at: float, answer: str, blocks: int
) -> None:
    lab = bench(tmp_path, settle_at=settle_at)
    settled = settle(lab, bench_of(lab, "linf"))
    if answer == "open":
        # The nearest threshold to the truth: nothing can be settled there.
        truth = float(settled.cascade.standing.mean())
        lab = bench(tmp_path, settle_at=round(truth, 3))
        settled = settle(lab, bench_of(lab, "linf"))
    assert settled.answer == answer
    assert len(settled.cascade.labels) == blocks * BLOCK


def test_what_a_part_yields_does_not_depend_on_who_asks(tmp_path: Path) -> None:
    lab = bench(tmp_path)
    inside = attack_block(lab, bench_of(lab, "linf"), 1)
    alone = linf_robust_accuracy.measure_part(bench(tmp_path), 1)
    assert inside.values == alone.values
    for name, array in inside.arrays.items():
        np.testing.assert_array_equal(array, alone.arrays[name])


def test_a_part_survives_the_store() -> None:
    store = MemoryStore()
    part = Reply({"standing": np.array([True, False])}, {"fell_to": {"square": 1}, "passes": 3})
    again = kept_part(keep_part(part, store), store)
    assert again.values == part.values
    np.testing.assert_array_equal(again.arrays["standing"], part.arrays["standing"])


def test_an_open_answer_is_undecided_and_a_settled_one_is_not(tmp_path: Path) -> None:
    entry = Catalog().check("evasion.linf_robust_accuracy")
    for settle_at, outcome in ((0.2, Outcome.PASS), (0.98, Outcome.FAIL)):
        found = linf_robust_accuracy.measure(bench(tmp_path, settle_at=settle_at))
        found = found.model_copy(update={"alarms": ()})
        assert judge(entry, found, threshold=settle_at).outcome is outcome
        fixed = found.facts["fixed_design_points"]
        assert isinstance(fixed, int)
        assert fixed > 0
        assert "settled with 50 of 150 points" in found.detail


def test_length_is_measured_as_length(tmp_path: Path) -> None:
    lab = bench(tmp_path, "evasion.l2_robust_accuracy", epsilon=0.8)
    found = l2_robust_accuracy.measure(lab)
    assert all(control.held for control in found.controls)
    (kept,) = (each for each in found.artifacts if each.name == "witnesses.safetensors")
    witnesses = safetensors.numpy.load(lab._store.get(kept.digest))
    change = (witnesses["adversarial"] - witnesses["clean"]).reshape(len(witnesses["clean"]), -1)
    lengths = np.linalg.norm(change, axis=1)
    assert lengths.max() <= 0.8 + 1e-5
    assert np.abs(change).max() > 0.2  # what a ball around each value would not allow
    assert found.estimates["robust_accuracy"].value < found.estimates["clean_accuracy"].value


def test_a_change_that_is_too_long_is_cut_and_seen() -> None:
    budget = Budget(1.0, 0, 1, whole=False, norm="l2")
    clean = np.full((2, 4), 0.4, np.float32)
    moved = clean + np.array([[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.6]], np.float32)
    np.testing.assert_array_equal(budget.exceeded(moved, clean), [False, True])
    lengths = np.linalg.norm(budget.enforced(moved, clean) - clean, axis=1)
    np.testing.assert_allclose(lengths, [1, 1], atol=1e-6)


def test_heights_that_make_no_sense_steer_nothing() -> None:
    examples = Examples(np.zeros((2, 3), np.float32), np.zeros(2, np.int64))
    scores = np.array([[2.0, 1.0], [1.0, 0.5]], np.float32)
    lab: Any = None
    cascade = Cascade(lab, examples, scores, Budget(0.1, 0, 1, whole=False))
    for heights in (np.full(2, np.nan), np.zeros(3)):
        cascade._learn(np.array([0, 1]), Reply({"margins": heights}, {}))
    assert not cascade.near(0.25).any()
    cascade._learn(np.array([1]), Reply({"margins": np.array([-0.1])}, {}))
    assert cascade.near(0.25).tolist() == [False, True]


def test_the_nearest_aims_never_hold_the_true_class() -> None:
    aimed = np.array([[-np.inf, -2.0, -1.0], [-3.0, -np.inf, -1.0]])
    np.testing.assert_array_equal(nearest_aims(aimed, 5), [[2, 1], [2, 0]])


@pytest.mark.parametrize("tier", RiskTier)
def test_sampling_stops_where_the_policy_looks(tier: RiskTier, tmp_path: Path) -> None:
    catalog = Catalog()
    policy = catalog.policy_for(tier)
    thresholds = {rule.check: rule.threshold for rule in policy.rules if rule.threshold is not None}
    specs = plan_checks(
        catalog,
        policy.battery,
        bench(tmp_path).subject,
        code=digest_of(b"code"),
        sandbox="L3",
        seed=0,
        thresholds=thresholds,
    )
    (spec,) = (each for each in specs if each.check == "evasion.linf_robust_accuracy")
    assert spec.parameters["settle_at"] == thresholds[spec.check]


def test_a_settled_threshold_is_an_end_of_the_interval_at_least() -> None:
    rng = np.random.default_rng(5)
    for threshold in (0.3017, 0.5039, 0.8011):
        samples = (rng.random(400) < 0.65).astype(float)
        answer = duel(samples, threshold, 0.025)
        found = confidence_sequence(samples[: answer.samples], 0.95, also=(threshold,))
        if answer.answer is Settled.ABOVE:
            assert found.low >= threshold
        elif answer.answer is Settled.BELOW:
            assert found.high <= threshold
