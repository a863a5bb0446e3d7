"""Intervals around rates and other statistics: exact, score and bootstrap.

Every rate of this project leaves a check as an :class:`~tasks.domain.estimate.Estimate` made here.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tasks.domain.estimate import Estimate

Floats = NDArray[np.float64]


def binomial(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Returns a rate with its exact interval (Clopper and Pearson 1934); never too narrow.

    Args:
        successes: How often it happened, 0 to ``n``.
        n: Independent trials, at least 1.
        confidence: Chance that the interval holds the true rate, at least.

    Raises:
        ValueError: There are no trials, or the counts contradict each other.
    """
    _counts_fit(successes, n, confidence)
    tail = (1 - confidence) / 2
    low = float(special.betaincinv(successes, n - successes + 1, tail)) if successes else 0.0
    high = (
        float(special.betaincinv(successes + 1, n - successes, 1 - tail)) if successes < n else 1.0
    )
    return Estimate(value=successes / n, low=low, high=high, confidence=confidence, n=n)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """Returns a rate with its score interval (Wilson 1927): close on average, sometimes too narrow.

    Raises:
        ValueError: There are no trials, or the counts contradict each other.
    """
    _counts_fit(successes, n, confidence)
    rate = successes / n
    z = float(special.ndtri((1 + confidence) / 2))
    shrink = 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / shrink
    reach = z / shrink * float(np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)))
    # Rounding may push an end past a rate of exactly 0 or 1.
    return Estimate(
        value=rate,
        low=max(0.0, min(rate, centre - reach)),
        high=min(1.0, max(rate, centre + reach)),
        confidence=confidence,
        n=n,
    )


def difference(
    first: tuple[int, int], second: tuple[int, int], confidence: float = 0.95
) -> Estimate:
    """Returns the first rate minus the second, of independent samples.

    Source: Newcombe 1998, Statistics in Medicine 17, 873-890, method 10 (square-and-add of the
    Wilson intervals).

    Args:
        first: Successes and trials of the first sample.
        second: Successes and trials of the second sample.
        confidence: Chance that the interval holds the true difference, about.

    Raises:
        ValueError: A sample is empty, or its counts contradict each other.
    """
    one, two = wilson(*first, confidence), wilson(*second, confidence)
    value = one.value - two.value
    return Estimate(
        value=value,
        low=value - float(np.hypot(one.value - one.low, two.high - two.value)),
        high=value + float(np.hypot(one.high - one.value, two.value - two.low)),
        confidence=confidence,
        n=one.n + two.n,
    )


def bootstrap(
    rows: NDArray[np.generic],
    statistic: Callable[[NDArray[np.generic]], float],
    *,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 1000,
    corrected: bool = True,
) -> Estimate:
    """Returns a statistic of ``rows`` with its bootstrap interval.

    Source: Efron 1987, JASA 82, 171-185 (BCa), which corrects bias and skew; the plain percentile
    interval with ``corrected=False`` or where the correction is not defined.

    Args:
        rows: Independent units (n, …), drawn with replacement along the first axis.
        statistic: From rows to one number; called ``resamples`` + n + 1 times.
        seed: Seeds the draws. Equal seeds give equal intervals.
        confidence: Chance that the interval holds the true value, about.
        resamples: Draws, at least 100.
        corrected: BCa instead of percentile.

    Raises:
        ValueError: Fewer than 2 rows or fewer than 100 resamples.
    """
    n = len(rows)
    if n < 2 or resamples < 100:
        raise ValueError(f"{n} rows and {resamples} resamples; at least 2 and 100 are needed")
    rng = np.random.default_rng(seed)
    value = float(statistic(rows))
    draws = np.array([statistic(rows[rng.integers(0, n, n)]) for _ in range(resamples)])
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if corrected:
        tails = _corrected_tails(rows, statistic, value=value, draws=draws, tails=tails)
    low, high = (float(end) for end in np.quantile(draws, tails))
    return Estimate(
        value=value, low=min(low, value), high=max(high, value), confidence=confidence, n=n
    )


def _corrected_tails(
    rows: NDArray[np.generic],
    statistic: Callable[[NDArray[np.generic]], float],
    *,
    value: float,
    draws: Floats,
    tails: Floats,
) -> Floats:
    below = float(np.mean(draws < value) + 0.5 * np.mean(draws == value))
    if not 0 < below < 1:
        return tails
    bias = float(special.ndtri(below))
    kept = np.array([statistic(np.delete(rows, row, axis=0)) for row in range(len(rows))])
    spread = kept.mean() - kept
    scale = float(np.sum(spread**2)) ** 1.5
    skew = float(np.sum(spread**3)) / (6 * scale) if scale > 0 else 0.0
    shifted = bias + special.ndtri(tails)
    room = 1 - skew * shifted
    if np.any(room <= 0):
        return tails
    moved: Floats = special.ndtr(bias + shifted / room)
    return moved


def _counts_fit(successes: int, n: int, confidence: float) -> None:
    if n < 1:
        raise ValueError("a rate needs at least one trial; nothing was counted")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes cannot come from {n} trials")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, it must lie between 0 and 1")
