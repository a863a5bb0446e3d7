"""True positives at a small false positive rate, with an interval that covers both samples.

The rate is the *true* one. The threshold that gives it is itself only known from the negatives at
hand, between two of their scores; with too few negatives it is not known from above at all, the
lower end is then 0, and no gate can fail on such a tail. Nothing has to be refused by hand.
"""

import numpy as np
from scipy import stats

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import Floats, binomial
from tasks.statistics.roc import tpr_at_fpr

EXPECTED = 10
"""Negatives that must be expected beyond the threshold before the tail is worth a number."""


def is_supported(negatives: int, rate: float, expected: int = EXPECTED) -> bool:
    """Answers whether so many negatives can speak about a false positive rate of ``rate``."""
    return negatives * rate >= expected - 1e-9


def tpr_at_true_fpr(
    positives: Floats, negatives: Floats, rate: float, confidence: float = 0.95
) -> Estimate:
    """Returns the true positive rate at the true false positive rate ``rate``.

    The threshold lies, with half of alpha, between two order statistics of the negatives
    (distribution-free interval of a quantile); the share of positives above either has an exact
    interval with the other half. Conservative for ties.

    Raises:
        ValueError: A group is empty or holds NaN, or ``rate`` is not strictly between 0 and 1.
    """
    if not 0 < rate < 1:
        raise ValueError(f"the false positive rate is {rate}, it must lie strictly in (0, 1)")
    value = tpr_at_fpr(positives, negatives, rate).true_positive.value
    half = 1 - (1 - confidence) / 2
    strict, loose = _threshold_ends(negatives, rate, half)
    n = len(positives)
    low = binomial(int(np.sum(positives > strict)), n, half).low
    high = binomial(int(np.sum(positives > loose)), n, half).high
    return Estimate(
        value=value, low=min(low, value), high=max(high, value), confidence=confidence, n=n
    )


def widened(estimate: Estimate, draws: Floats) -> Estimate:
    """Returns the interval widened by a second, independent source of chance.

    ``draws`` are the values under resampled shadow models. The reaches are squared and added, as
    for a difference of independent rates (Newcombe 1998, method 10).
    """
    tails = [(1 - estimate.confidence) / 2, (1 + estimate.confidence) / 2]
    centre = float(np.mean(draws))
    below, above = np.abs(np.quantile(draws, tails) - centre)
    low = estimate.value - float(np.hypot(estimate.value - estimate.low, below))
    high = estimate.value + float(np.hypot(estimate.high - estimate.value, above))
    return estimate.model_copy(update={"low": max(0.0, low), "high": min(1.0, high)})


def _threshold_ends(negatives: Floats, rate: float, confidence: float) -> tuple[float, float]:
    """Returns a threshold that is surely high enough, and one that is surely low enough."""
    n = len(negatives)
    falling = np.sort(negatives)[::-1]
    tail = (1 - confidence) / 2
    # The k-th largest is above the true threshold unless fewer than k lie beyond it.
    few = int(stats.binom.ppf(tail, n, rate))
    many = int(stats.binom.ppf(1 - tail, n, rate)) + 1
    strict = float(falling[few - 1]) if few >= 1 else float("inf")
    loose = float(falling[many - 1]) if many <= n else float("-inf")
    return strict, loose
