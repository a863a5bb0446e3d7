import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.statistics.privacy_test import epsilon_bound, epsilon_ceiling, refutes

Mask = NDArray[np.bool_]


def randomised_response(epsilon: float, runs: int, seed: int) -> tuple[Mask, Mask]:
    """The mechanism whose epsilon is exact: tells the coin with chance e^eps / (1 + e^eps)."""
    rng = np.random.default_rng(seed)
    inside = rng.random(runs) < 0.5
    honest = rng.random(runs) < np.exp(epsilon) / (1 + np.exp(epsilon))
    return inside, inside == honest


def test_a_true_claim_stands() -> None:
    wrong = [
        refutes(*randomised_response(1.0, 2000, seed), epsilon=1.0, delta=0.0, alpha=0.05).claim
        for seed in range(300)
    ]
    assert np.mean(wrong) <= 0.05


@pytest.mark.parametrize("claimed", [0.2, 0.5, 0.7])
def test_a_false_claim_falls_and_early(claimed: float) -> None:
    tried = refutes(*randomised_response(1.5, 5000, 1), epsilon=claimed, delta=1e-5, alpha=0.01)
    assert tried.claim
    assert tried.runs < 2000


def test_the_bound_comes_near_the_truth_and_stays_below() -> None:
    bounds = [
        epsilon_bound(*randomised_response(1.5, 5000, seed), delta=0.0, alpha=0.05)
        for seed in range(9)
    ]
    assert 1.1 <= np.median(bounds) <= 1.5
    assert np.mean(np.array(bounds) > 1.5) <= 0.3


def test_the_ceiling_grows_with_the_runs() -> None:
    few, many = (epsilon_ceiling(runs, delta=1e-5, alpha=0.01) for runs in (100, 10000))
    assert 1 < few < many
    nothing = np.zeros(500, np.bool_)
    assert epsilon_bound(nothing, nothing, delta=0.0, alpha=0.05) == 0
