"""Intervals around quantiles, from the order of the values alone."""

import numpy as np
from scipy import stats

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import Floats


def median(values: Floats, *, bounds: tuple[float, float], confidence: float = 0.95) -> Estimate:
    """Returns the median with its exact interval; no shape of the distribution is assumed.

    How many of n values lie below the true median is binomial (n, 1/2), so the k-th smallest and
    the k-th largest value enclose it (Conover 1999, Practical Nonparametric Statistics, 3.2).

    Args:
        values: Independent values (n,), n at least 1, finite.
        bounds: Between which every possible value lies; the interval when n is too small for more.
        confidence: Chance that the interval holds the true median, at least.

    Raises:
        ValueError: There are no values, or some are not finite.
    """
    if not len(values) or not bool(np.isfinite(values).all()):
        raise ValueError("a median needs at least one value, and finite ones")
    ordered = np.sort(values)
    n = len(ordered)
    outside = int(stats.binom.ppf((1 - confidence) / 2, n, 0.5))
    # P(fewer than k below) must not exceed the tail: step back where the quantile overshoots.
    while outside > 0 and stats.binom.cdf(outside - 1, n, 0.5) > (1 - confidence) / 2:
        outside -= 1
    enclosed = outside > 0
    low, high = (ordered[outside - 1], ordered[n - outside]) if enclosed else bounds
    return Estimate(
        value=float(np.median(ordered)),
        low=float(low),
        high=float(high),
        confidence=confidence,
        n=n,
    )
