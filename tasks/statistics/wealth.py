"""What chance of a false alarm the t-th test of one control may cost, so that the sum is bounded.

A control that is tested anew every night at 5 % cries wolf within weeks: after 30 nights with
chance 79 %. Spending ``total * 6 / (pi^2 t^2)`` on test number t sums to ``total`` over all nights,
and needs no plan of how many there will be (union bound; methods notes, section 9.5). What is not
measured anew is no new test and costs nothing.
"""

import math

from scipy import special

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import binomial

TOTAL = 0.05
"""Chance of ever raising a false alarm about one control."""


def spend(number: int, total: float = TOTAL) -> float:
    """Returns what test ``number`` (from 1) may cost.

    Raises:
        ValueError: The number is below 1, or ``total`` is not strictly between 0 and 1.
    """
    if number < 1 or not 0 < total < 1:
        raise ValueError(f"number {number} must be 1 or more, total {total} between 0 and 1")
    return total * 6 / (math.pi * number) ** 2


def at_alpha(estimate: Estimate, alpha: float) -> Estimate:
    """Returns an estimate with an interval each of whose ends fails with chance ``alpha`` at most.

    Counts get their exact interval at that level. Of other estimates only the interval is known, so
    its halves are widened by the ratio of normal quantiles, which is more than bounds with Gaussian
    tails need (Hoeffding, betting). Where both apply the wider end holds. It is never narrowed.

    Raises:
        ValueError: ``alpha`` is not strictly between 0 and 1/2.
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is {alpha}, it must lie between 0 and 1/2")
    confidence = 1 - 2 * alpha
    if estimate.low == estimate.high or confidence <= estimate.confidence:
        return estimate  # counted completely, or strict enough as it is
    ratio = special.ndtri(alpha) / special.ndtri((1 - estimate.confidence) / 2)
    low = estimate.value - ratio * (estimate.value - estimate.low)
    high = estimate.value + ratio * (estimate.high - estimate.value)
    count = estimate.value * estimate.n
    if 0 <= estimate.value <= 1 and estimate.n and abs(count - round(count)) < 1e-6:
        exact = binomial(round(count), estimate.n, confidence)
        low, high = min(low, exact.low), max(high, exact.high)
    return Estimate(value=estimate.value, low=low, high=high, confidence=confidence, n=estimate.n)
