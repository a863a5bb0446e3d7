import numpy as np

from tasks.attacks.inference.quantile_regression import quantile_regression
from tasks.statistics.intervals import Floats
from tasks.statistics.roc import auc

ITEMS = 1600
RNG = np.random.default_rng(11)
INPUTS = RNG.normal(size=(ITEMS, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, ITEMS)
MEMBERS = np.arange(ITEMS) < ITEMS // 2
NOISE = RNG.normal(size=ITEMS)


def found(confidence: Floats) -> Floats:
    return quantile_regression(confidence, INPUTS, LABELS, ~MEMBERS, seed=0)


def test_what_items_let_expect_is_taken_off() -> None:
    easy = 4 * INPUTS[:, 0] + 2 * LABELS + NOISE + 2 * MEMBERS
    plain = auc(easy[MEMBERS], easy[~MEMBERS])
    excess = found(easy)
    better = auc(excess[MEMBERS], excess[~MEMBERS])
    assert better.low > plain.high + 0.1
    others = excess[~MEMBERS]
    assert abs(others.mean()) < 0.1
    assert 0.8 < others.std() < 1.3


def test_items_that_vary_more_need_more_to_be_named() -> None:
    restless = INPUTS[:, 1] > 0
    excess = found(np.where(restless, 6.0, 1.0) * NOISE)
    assert 0.5 < excess[~MEMBERS & restless].std() / excess[~MEMBERS & ~restless].std() < 3


def test_nothing_is_found_where_nothing_is() -> None:
    excess = found(3 * INPUTS[:, 2] + NOISE)
    assert auc(excess[MEMBERS], excess[~MEMBERS], 0.999).low < 0.5


def test_confidences_without_any_spread_are_no_crash() -> None:
    assert np.isfinite(found(np.full(ITEMS, 7.0))).all()
