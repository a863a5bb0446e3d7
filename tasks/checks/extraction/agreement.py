"""How often copies agree with the model, compared on the same inputs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from tasks.domain.estimate import Estimate
from tasks.sandbox.protocol import Array
from tasks.statistics.betting import Settled, duel
from tasks.statistics.intervals import binomial


class Split(NamedTuple):
    """Agreement (True or False) on held-out inputs, and on inputs of no distribution."""

    held: Array
    away: Array


def agreement(claimed: Array, truth: Array) -> Array:
    """Answers where a student names the model's class; a wrong shape agrees nowhere."""
    if claimed.shape != truth.shape:
        return np.zeros(truth.shape, dtype=bool)
    agreed: Array = claimed == truth
    return agreed


def split(claimed: Array, truth: Array, held: int) -> Split:
    """Returns the agreement on the first ``held`` inputs and on the rest."""
    agreed = agreement(claimed, truth)
    return Split(agreed[:held], agreed[held:])


def rate(agreed: Array, confidence: float = 0.95) -> Estimate:
    """Returns how often it agrees, with its exact interval."""
    return binomial(int(agreed.sum()), len(agreed), confidence)


def paired_gain(copy: Array, baseline: Array, confidence: float = 0.95) -> Estimate:
    """Returns how much more often the copy agrees than the baseline, on the same inputs.

    Source: Bonett and Price 2012, Journal of Educational and Behavioral Statistics 37, 479-488
    (adjusted Wald interval for a difference of paired proportions).

    Args:
        copy: Whether the copy agrees with the model, (n,) bool.
        baseline: Whether the baseline does, (n,) bool.
        confidence: Chance that the interval holds the true difference, about.
    """
    n = len(copy)
    more, less = int((copy & ~baseline).sum()), int((~copy & baseline).sum())
    value = (more - less) / n
    up, down = (more + 1) / (n + 2), (less + 1) / (n + 2)
    centre = up - down
    reach = float(special.ndtri((1 + confidence) / 2)) * float(
        np.sqrt((up + down - centre**2) / (n + 2))
    )
    return Estimate(
        value=value,
        low=max(-1.0, min(value, centre - reach)),
        high=min(1.0, max(value, centre + reach)),
        confidence=confidence,
        n=n,
    )


def worst(gains: Sequence[Estimate]) -> Estimate:
    """Returns the estimate of the largest of several gains, each at a corrected confidence.

    The largest is above a value when one of them is, and below when all are.
    """
    confidence = 1 - len(gains) * (1 - gains[0].confidence)
    return Estimate(
        value=max(gain.value for gain in gains),
        low=max(gain.low for gain in gains),
        high=max(gain.high for gain in gains),
        confidence=confidence,
        n=gains[0].n,
    )


def settled(copy: Array, baseline: Array, tolerated: float, alpha: float = 0.025) -> str:
    """Says when a sequential test of the paired difference was settled (methods notes, 1.7, 2).

    Unlike an interval, its answer is valid at the moment it was reached, so a later run may stop
    there.
    """
    difference = copy.astype(np.float64) - baseline.astype(np.float64)
    found = duel((difference + 1) / 2, (tolerated + 1) / 2, alpha)
    if found.answer is Settled.OPEN:
        return f"open after {found.samples}"
    return f"{found.answer.value} {tolerated:g} after {found.samples}"


def chance_corrected(answers: Array, labels: Array, classes: int) -> float:
    """Returns Cohen's kappa: 1 is agreement, 0 what two strangers would agree on (Cohen 1960)."""
    observed = float(np.mean(answers == labels))
    shares = (np.bincount(each, minlength=classes) / len(each) for each in (answers, labels))
    by_chance = float(np.prod(list(shares), axis=0).sum())
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0
