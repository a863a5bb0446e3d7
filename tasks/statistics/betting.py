"""Sequential tests of a mean by betting: look after every sample, stop when settled.

For a threshold, two gamblers bet against "the mean is at most this" and "the mean is at least
this". Each starts with 1 and spreads it over 25 sizes of bet. Under the hypothesis it bets
against, a gambler's wealth is a non-negative martingale or shrinks, so it ever reaches 1 / alpha
with chance alpha at most (Ville 1939). That holds whenever one looks, and whatever made one stop.

Source: Waudby-Smith and Ramdas 2024, JRSS B 86, 1-27 (arXiv 2010.09686); the mixture over bets is
that of methods notes, section 10.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import Floats

BETS = np.linspace(0.02, 0.98, 25)
"""Shares of the largest bet that cannot lose everything."""
GRID = 500
"""Candidate means between 0 and 1 that a confidence sequence tries."""


class Settled(StrEnum):
    """What a sequential test says so far."""

    ABOVE = "above"
    BELOW = "below"
    OPEN = "open"


class Duel(NamedTuple):
    """How a sequential test ended: the answer, when, and both wealths at that moment."""

    answer: Settled
    samples: int
    wealth_above: float
    wealth_below: float


class MeanTest:
    """Two gamblers about one threshold, fed sample by sample.

    The chance of ever calling a mean above that is at most the threshold is ``alpha`` at most, and
    the same for below.

    Args:
        threshold: Strictly between 0 and 1.
        alpha: Chance of a wrong answer, for each side.

    Raises:
        ValueError: The threshold or alpha is not strictly between 0 and 1.
    """

    def __init__(self, threshold: float, alpha: float) -> None:
        if not 0 < threshold < 1 or not 0 < alpha < 1:
            raise ValueError(
                f"threshold {threshold} and alpha {alpha} must lie strictly between 0 and 1"
            )
        self.threshold = threshold
        self.alpha = alpha
        self.samples = 0
        self._above = np.zeros(len(BETS))
        self._below = np.zeros(len(BETS))
        self._best = [0.0, 0.0]

    def add(self, sample: float) -> Settled:
        """Takes one sample from 0..1 and says what is settled; once settled, it stays so.

        Raises:
            ValueError: The sample is outside 0..1.
        """
        if not 0 <= sample <= 1:
            raise ValueError(f"the sample {sample} is outside 0..1")
        self.samples += 1
        self._above += _gains(sample, self.threshold)
        self._below += _gains(1 - sample, 1 - self.threshold)
        for side, logs in enumerate((self._above, self._below)):
            self._best[side] = max(self._best[side], _log_mean(logs))
        return self.answer

    @property
    def answer(self) -> Settled:
        """What is settled so far; open when neither, or impossibly both, reached 1 / alpha."""
        above, below = (best >= -np.log(self.alpha) for best in self._best)
        if above == below:
            return Settled.OPEN
        return Settled.ABOVE if above else Settled.BELOW

    @property
    def wealth(self) -> tuple[float, float]:
        """Wealth of the gambler for above and of the one for below: e-values at this moment."""
        return float(np.exp(_log_mean(self._above))), float(np.exp(_log_mean(self._below)))


def duel(samples: Floats, threshold: float, alpha: float) -> Duel:
    """Feeds samples in order until the test is settled or they end.

    Args:
        samples: Values in 0..1 (n,), independent or in any order that does not look ahead.
        threshold: Strictly between 0 and 1.
        alpha: Chance of a wrong answer, for each side.

    Raises:
        ValueError: A number is out of its range.
    """
    test = MeanTest(threshold, alpha)
    for sample in samples:
        if test.add(float(sample)) is not Settled.OPEN:
            break
    return Duel(test.answer, test.samples, *test.wealth)


def confidence_sequence(
    samples: Floats, confidence: float = 0.95, *, also: tuple[float, ...] = ()
) -> Estimate:
    """Returns the mean with an interval that is valid whenever one stops looking.

    The interval lies between the largest mean of a grid that was ever refuted as too low and the
    smallest refuted as too high, by gamblers at half of alpha each. Order matters: what was refuted
    once stays refuted.

    Args:
        samples: Values in 0..1 (n,), in the order in which they were seen.
        confidence: Chance that the interval holds the true mean at every n at once, at least.
        also: Means to try beside the grid, so that an end of the interval can lie on them: a
            threshold that :class:`MeanTest` settled at ``(1 - confidence) / 2`` is then settled
            here too.

    Raises:
        ValueError: There are no samples, or one is outside 0..1.
    """
    if not len(samples):
        raise ValueError("a mean needs at least one sample")
    if not bool(np.all((samples >= 0) & (samples <= 1))):
        raise ValueError("some samples are outside 0..1")
    grid = (np.arange(GRID) + 0.5) / GRID
    means = np.concatenate([grid, [mean for mean in also if 0 < mean < 1]])
    limit = np.log(2 / (1 - confidence))
    too_low = _ever_refuted(samples, means, limit)
    too_high = _ever_refuted(1 - samples, 1 - means, limit)
    # Refuting "the mean is at most m" refutes every smaller m as well.
    low = float(means[too_low].max(initial=0.0))
    high = float(means[too_high].min(initial=1.0))
    value = float(samples.mean())
    return Estimate(
        value=value,
        low=max(0.0, min(low, value)),
        high=min(1.0, max(high, value)),
        confidence=confidence,
        n=len(samples),
    )


def _ever_refuted(samples: Floats, means: Floats, limit: float) -> NDArray[np.bool_]:
    """Marks the means m for which "the mean is at most m" was ever refuted."""
    logs = np.zeros((len(means), len(BETS)))
    refuted = np.zeros(len(means), dtype=np.bool_)
    sizes = BETS / means[:, None]
    for sample in samples:
        logs += np.log1p(sizes * (sample - means[:, None]))
        top = logs.max(axis=1)
        wealth = top + np.log(np.exp(logs - top[:, None]).mean(axis=1))
        refuted |= wealth >= limit
    return refuted


def _gains(sample: float, threshold: float) -> Floats:
    gains: Floats = np.log1p(BETS / threshold * (sample - threshold))
    return gains


def _log_mean(logs: Floats) -> float:
    top = float(logs.max())
    return top + float(np.log(np.mean(np.exp(logs - top))))
