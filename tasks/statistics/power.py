"""How many samples a test planned beforehand would need.

Beside a test that stops when it is settled, this is the fair comparison: a fixed number of samples,
chosen by someone who already knew the margin.
"""

import math

from scipy import stats

MOST_SAMPLES = 100_000


def fixed_sample_size(
    rate: float, threshold: float, *, alpha: float, power: float = 0.95
) -> int | None:
    """Returns the fewest samples with which an exact one-sided binomial test tells the two apart.

    Args:
        rate: The true rate, 0 to 1.
        threshold: The rate that the test is about, strictly between 0 and 1.
        alpha: Chance of a wrong answer when the rate is the threshold.
        power: Chance of the right answer when the rate is ``rate``.

    Returns:
        The sample size; None when it is above 100,000 (or the rates are equal).

    Raises:
        ValueError: The threshold, alpha or power is not strictly between 0 and 1.
    """
    if not (0 < threshold < 1 and 0 < alpha < 1 and 0 < power < 1):
        raise ValueError(
            f"threshold {threshold}, alpha {alpha} and power {power} must be in (0, 1)"
        )
    if rate < threshold:
        rate, threshold = 1 - rate, 1 - threshold
    if rate == threshold:
        return None
    size = max(1, _normal_guess(rate, threshold, alpha, power) // 2)
    # The exact power is a saw over the sample size; a size counts when the next ten hold as well.
    while size <= MOST_SAMPLES:
        if all(_power(size + more, rate, threshold, alpha) >= power for more in range(10)):
            return size
        size += 1 + size // 100
    return None


def _power(size: int, rate: float, threshold: float, alpha: float) -> float:
    """Returns how often the test rejects "at most the threshold" when the rate is ``rate``."""
    least = int(stats.binom.isf(alpha, size, threshold)) + 1
    return float(stats.binom.sf(least - 1, size, rate))


def _normal_guess(rate: float, threshold: float, alpha: float, power: float) -> int:
    spread = stats.norm.isf(alpha) * math.sqrt(threshold * (1 - threshold))
    spread += stats.norm.ppf(power) * math.sqrt(rate * (1 - rate))
    return int(min((spread / (rate - threshold)) ** 2, 2 * MOST_SAMPLES))
