"""How much more one group gains than another, when a gain is -1, 0 or 1 for each person."""

import numpy as np
from scipy import special

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import Floats


def mean_gain(gains: Floats, confidence: float = 0.95) -> Estimate:
    """Returns the mean gain (n,): the difference of two rates seen on the same people.

    Source: Agresti and Min 2005, Statistics in Medicine 24, 729-740 (half a person is added to
    each cell of the paired table, so that no discordant pair at all still leaves an interval).

    Raises:
        ValueError: There are no gains, or one is not -1, 0 or 1.
    """
    n = len(gains)
    if n < 1 or not np.isin(gains, (-1, 0, 1)).all():
        raise ValueError(f"{n} gains; at least one is needed, and each is -1, 0 or 1")
    better, worse = ((float(np.sum(gains == sign)) + 0.5) / (n + 2) for sign in (1, -1))
    centre = better - worse
    z = float(special.ndtri((1 + confidence) / 2))
    reach = z * float(np.sqrt((better + worse - centre**2) / (n + 2)))
    value = float(gains.mean())
    return Estimate(
        value=value,
        low=max(-1.0, min(value, centre - reach)),
        high=min(1.0, max(value, centre + reach)),
        confidence=confidence,
        n=n,
    )


def gain_over(first: Floats, second: Floats, confidence: float = 0.95) -> Estimate:
    """Returns the first mean gain minus the second, of independent people.

    The reaches are squared and added (Newcombe 1998, Statistics in Medicine 17, 873-890).
    """
    one, two = mean_gain(first, confidence), mean_gain(second, confidence)
    value = one.value - two.value
    return Estimate(
        value=value,
        low=value - float(np.hypot(one.value - one.low, two.high - two.value)),
        high=value + float(np.hypot(one.high - one.value, two.value - two.low)),
        confidence=confidence,
        n=one.n + two.n,
    )
