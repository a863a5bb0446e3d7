import numpy as np
import pytest

from tasks.attacks.inference.deciding import decide, low_tail, split
from tasks.statistics.intervals import Floats

MEMBERS = np.repeat([True, False], 400)
LABELS = np.tile(np.arange(4), 200)


def shifted(by: float, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0, 1, 800) + by * MEMBERS


def test_the_better_attack_is_chosen_and_counted_apart() -> None:
    found = decide(
        {"blind": shifted(0), "seeing": shifted(3, seed=1)}, LABELS, MEMBERS, split(MEMBERS, seed=2)
    )
    assert found.chosen == "seeing"
    assert found.results["seeing"].accuracy.n == 400
    assert found.results["seeing"].accuracy.value == pytest.approx(0.933, abs=0.03)
    assert found.results["seeing"].area.value == pytest.approx(0.983, abs=0.02)


def test_many_blind_attacks_do_not_see_by_luck() -> None:
    wrong = 0
    for seed in range(40):
        blind = {str(i): shifted(0, seed=100 * seed + i) for i in range(6)}
        found = decide(blind, LABELS, MEMBERS, split(MEMBERS, seed=seed))
        wrong += found.results[found.chosen].accuracy.low > 0.5
    assert wrong <= 4  # 2.5 % each way are allowed by chance; 5 of 40 have chance 0.3 %


def test_thresholds_follow_the_class() -> None:
    signal = shifted(3) + 100 * LABELS
    found = decide({"shifted": signal}, LABELS, MEMBERS, split(MEMBERS, seed=2))
    assert found.results["shifted"].accuracy.value > 0.85
    assert found.results["shifted"].area.value < 0.7


def test_the_low_tail_is_learnt_on_one_half_and_counted_on_the_other() -> None:
    learning = split(MEMBERS, seed=2)
    assert learning.sum() == 400
    assert (learning & MEMBERS).sum() == 200
    tail = low_tail(shifted(3), MEMBERS, learning, rate=0.01)
    assert tail.true_positive.n == tail.false_positive.n == 200
    assert tail.true_positive.value == pytest.approx(0.75, abs=0.2)
    assert tail.false_positive.low <= 0.01 <= tail.false_positive.high


def test_the_proven_privacy_loss_is_a_lower_bound() -> None:
    """Randomised response at epsilon 1 may seldom be refuted, and at epsilon 3 its size shows."""
    for epsilon, least in ((1.0, 0.5), (3.0, 2.0)):
        proven = []
        for seed in range(30):
            rng = np.random.default_rng(seed)
            honest = rng.uniform(size=800) < 1 / (1 + np.exp(-epsilon))
            told = np.where(honest, MEMBERS, ~MEMBERS).astype(np.float64)
            found = decide({"told": told}, LABELS, MEMBERS, split(MEMBERS, seed=seed))
            proven.append(found.results["told"].epsilon)
        assert sum(bound > epsilon for bound in proven) <= 4
        assert np.mean(proven) > least


def test_equal_seeds_outside_and_inside_do_not_empty_the_learning_half() -> None:
    found = decide({"seeing": shifted(3)}, LABELS, MEMBERS, split(MEMBERS, seed=0))
    assert found.results["seeing"].learnt_accuracy > 0.8
