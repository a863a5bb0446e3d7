import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_curve

from tasks.statistics.intervals import Floats
from tasks.statistics.roc import auc, best_threshold, hanley_mcneil, roc_curve, tpr_at_fpr

SCORES = arrays(np.float64, st.integers(1, 40), elements=st.integers(-5, 5).map(float))


def normal(n: int, shift: float, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1, n)


@given(SCORES, SCORES)
def test_area_and_curve_agree_with_scikit_learn(positives: Floats, negatives: Floats) -> None:
    truth = np.repeat([1, 0], [len(positives), len(negatives)])
    scores = np.concatenate([positives, negatives])
    assert auc(positives, negatives).value == pytest.approx(roc_auc_score(truth, scores))
    false, true, _ = sklearn_curve(truth, scores, drop_intermediate=False)
    ours = roc_curve(positives, negatives)
    np.testing.assert_allclose(ours.false_positive, false, atol=1e-12)
    np.testing.assert_allclose(ours.true_positive, true, atol=1e-12)


@given(SCORES, SCORES)
def test_turning_the_scores_turns_the_area(positives: Floats, negatives: Floats) -> None:
    found, turned = auc(positives, negatives), auc(-positives, -negatives)
    assert found.value == pytest.approx(1 - turned.value)
    assert (found.low, found.high) == pytest.approx((1 - turned.high, 1 - turned.low), abs=1e-6)


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    truth = 0.7602  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    found = [auc(normal(60, 1, seed), normal(80, 0, 1000 + seed)) for seed in range(300)]
    hits = sum(one.low <= truth <= one.high for one in found)
    assert hits >= 274  # 95 % would be 285; fewer has chance 0.2 %
    assert hits < 300


def test_a_perfect_separation_still_has_an_interval() -> None:
    found = auc(np.arange(10, 20.0), np.arange(10.0))
    assert found.value == found.high == 1
    assert found.low == pytest.approx(0.025 ** (1 / 10))


def test_identical_scores_say_nothing() -> None:
    found = auc(np.zeros(30), np.zeros(30))
    assert found.value == 0.5
    assert found.low < 0.45
    assert found.high > 0.55


def test_sizes_alone_give_the_published_standard_error() -> None:
    """Hanley and McNeil 1982: area 0.893 with 51 and 58 cases has standard error 0.032."""
    found = hanley_mcneil(0.893, 51, 58)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(0.032, abs=0.003)


def test_the_low_tail_has_intervals_on_both_axes() -> None:
    positives, negatives = normal(1000, 2, 0), normal(1000, 0, 1)
    tail = tpr_at_fpr(positives, negatives, 0.01)
    assert tail.false_positive.value == 0.01
    assert tail.true_positive.value == pytest.approx(0.37, abs=0.06)  # Phi(2 - 2.326)
    assert tail.true_positive.confidence == tail.false_positive.confidence == 0.975


@pytest.mark.parametrize(("rate", "flagged"), [(0.0, 0), (0.1, 1), (0.29, 2), (0.3, 3)])
def test_at_most_the_nominal_share_of_negatives_is_flagged(rate: float, flagged: int) -> None:
    tail = tpr_at_fpr(np.array([100.0]), np.arange(10.0), rate)
    assert tail.false_positive.value == flagged / 10


def test_ties_never_push_the_false_positives_over_the_nominal_rate() -> None:
    tail = tpr_at_fpr(np.ones(10), np.ones(10), 0.5)
    assert tail.false_positive.value == tail.true_positive.value == 0


def test_the_best_threshold_parts_what_can_be_parted() -> None:
    assert best_threshold(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 3
    assert best_threshold(np.array([1.0]), np.array([2.0])) == np.inf


@pytest.mark.parametrize(
    ("positives", "negatives"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0]), ([1.0], [np.nan])]
)
def test_groups_that_cannot_be_compared_are_refused(
    positives: list[float], negatives: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"needed|NaN"):
        auc(np.array(positives), np.array(negatives))


def test_rates_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="must lie in"):
        tpr_at_fpr(np.ones(2), np.ones(2), 1.0)
