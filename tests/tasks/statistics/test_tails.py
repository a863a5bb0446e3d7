import numpy as np
import pytest
from scipy import stats

from tasks.statistics.tails import is_supported, tpr_at_true_fpr, widened


def test_the_interval_holds_the_true_rate() -> None:
    true = float(stats.norm.sf(stats.norm.isf(0.05) - 1))
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = tpr_at_true_fpr(rng.normal(1, 1, 300), rng.normal(0, 1, 400), 0.05)
        held += found.low <= true <= found.high
    assert held >= 190


@pytest.mark.parametrize(("negatives", "decided"), [(100, False), (300, False), (1000, True)])
def test_a_tail_that_the_sample_cannot_know_has_no_lower_end(negatives: int, decided: bool) -> None:
    positives, others = np.full(1000, 9.0), np.random.default_rng(0).normal(size=negatives)
    found = tpr_at_true_fpr(positives, others, 0.01)
    assert found.value == 1
    assert (found.low > 0.9) is decided
    assert is_supported(negatives, 0.01) is decided


def test_answers_that_are_all_equal_name_nobody() -> None:
    found = tpr_at_true_fpr(np.zeros(500), np.zeros(500), 0.01)
    assert (found.value, found.low) == (0, 0)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_is_strictly_between_nothing_and_all(rate: float) -> None:
    with pytest.raises(ValueError, match="strictly"):
        tpr_at_true_fpr(np.zeros(3), np.zeros(3), rate)


def test_a_second_source_of_chance_widens_and_stays_a_rate() -> None:
    rng = np.random.default_rng(1)
    plain = tpr_at_true_fpr(rng.normal(2, 1, 800), rng.normal(0, 1, 2000), 0.01)
    wider = widened(plain, plain.value + rng.normal(0, 0.1, 500))
    assert wider.low < plain.low
    assert wider.high > plain.high
    assert widened(plain, np.full(9, plain.value)) == plain
    assert widened(plain, rng.normal(0, 9, 99)).low == 0
