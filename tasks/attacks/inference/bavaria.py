"""BaVarIA: the likelihood ratio with variances that few shadow models can support.

Each item's confidences over models are normal with unknown mean and variance under a
normal-inverse-gamma prior; the prior is read from all items, so what an answer is compared with is
a Student-t predictive. At many models this is LiRA, at few it leans on what all items share.

Source: Brännvall 2026, arXiv 2603.11799 (conjugate prior, Student-t predictive); the prior's
strength by the moments of Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3, section 6.2.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tasks.attacks.inference.lira import moments
from tasks.statistics.intervals import Floats

STRONGEST = 1e4
"""Degrees of freedom of a prior under which all items have one variance."""
TINY = 1e-12


class Predictive(NamedTuple):
    """Student-t: where the next model's confidence is expected, item by item."""

    centre: Floats
    scale: Floats
    freedom: float | Floats

    def log_density(self, values: Floats) -> Floats:
        """Returns the logarithm of the density, up to constants shared by equal freedoms."""
        nu = self.freedom
        constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - np.log(nu) / 2
        distance = (values - self.centre) / self.scale
        logs: Floats = constant - np.log(self.scale) - (nu + 1) / 2 * np.log1p(distance**2 / nu)
        return logs


def bavaria(confidence: Floats, shadows: Floats, members: NDArray[np.bool_]) -> Floats:
    """Returns the logarithm of the predictive ratio of in against out (items,).

    Args:
        confidence: Of the target (items,).
        shadows: Of the shadow models (models, items), 2 of each kind for some item at least.
        members: Which shadow model learnt which item; every item needs both kinds.
    """
    outside = predictive(shadows, ~members)
    # What learning an item adds varies less over items than the confidence itself does.
    inside = predictive(shadows, members, expected=outside.centre)
    ratio: Floats = inside.log_density(confidence) - outside.log_density(confidence)
    return ratio


def predictive(
    shadows: Floats, counted: NDArray[np.bool_], expected: Floats | None = None
) -> Predictive:
    """Returns what the counted models say about the next one.

    Args:
        shadows: Confidences (models, items).
        counted: Which of them count.
        expected: Where each item's mean is expected up to a common shift; the same for all items
            when left out.
    """
    mean, spread = moments(shadows, counted)
    n = counted.sum(axis=0).astype(np.float64)
    before = np.zeros_like(mean) if expected is None else expected
    before = before + float(np.mean(mean - before))
    freedom, variance = _variance_prior(spread**2, n - 1)
    # How many models the prior mean is worth: spread within items against spread between them.
    between = max(float(np.mean((mean - before) ** 2 - variance / n)), TINY)
    weight = min(variance / between, STRONGEST)
    centre = (weight * before + n * mean) / (weight + n)
    squares = (
        freedom * variance + (n - 1) * spread**2 + weight * n / (weight + n) * (mean - before) ** 2
    )
    nu = freedom + n
    scale = np.sqrt(np.maximum(squares / nu, TINY) * (1 + 1 / (weight + n)))
    return Predictive(centre, scale, nu)


def _variance_prior(variances: Floats, freedom: Floats) -> tuple[float, float]:
    """Returns degrees of freedom and value of the variance that all items lean on."""
    usable = (freedom >= 1) & (variances > TINY)
    if usable.sum() < 2:
        return STRONGEST, max(float(np.mean(variances)), TINY)
    half = freedom[usable] / 2
    logs = np.log(variances[usable]) - special.digamma(half) + np.log(half)
    extra = float(np.var(logs, ddof=1) - np.mean(special.polygamma(1, half)))
    if extra <= 0:
        return STRONGEST, float(np.exp(np.mean(logs)))
    strength = _inverse_trigamma(extra)
    value = float(np.exp(np.mean(logs) + special.digamma(strength) - np.log(strength)))
    return min(2 * strength, STRONGEST), value


def _inverse_trigamma(value: float) -> float:
    """Newton's method on 1 / trigamma, which is nearly linear (Smyth 2004, appendix)."""
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(special.polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(special.polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y
