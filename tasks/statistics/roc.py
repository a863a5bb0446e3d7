"""How well scores tell two groups apart: curve, area, and true positives at few false ones.

Scores are higher for the positive group. Ties count half, as in the Mann-Whitney statistic.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import Floats, binomial


class Curve(NamedTuple):
    """Points of the curve, from (0, 0) to (1, 1): thresholds fall, both rates rise."""

    false_positive: Floats
    true_positive: Floats
    thresholds: Floats


class LowTail(NamedTuple):
    """The true positive rate at a nominal false positive rate, each with its own interval."""

    true_positive: Estimate
    false_positive: Estimate
    threshold: float


def roc_curve(positives: Floats, negatives: Floats) -> Curve:
    """Returns one point for each distinct score, and the corner where nothing is flagged.

    Raises:
        ValueError: A group is empty or holds NaN.
    """
    _groups_fit(positives, negatives)
    thresholds = np.unique(np.concatenate([positives, negatives]))[::-1]
    return Curve(
        np.concatenate([[0.0], _share_from(negatives, thresholds)]),
        np.concatenate([[0.0], _share_from(positives, thresholds)]),
        np.concatenate([[np.inf], thresholds]),
    )


def auc(positives: Floats, negatives: Floats, confidence: float = 0.95) -> Estimate:
    """Returns the chance that a positive scores above a negative, with DeLong's interval.

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, 837-845. On the logit scale, so
    that the interval stays between 0 and 1. A perfect separation has no spread to estimate from;
    there the interval is that of Hanley and McNeil (:func:`hanley_mcneil`) at half a tie.

    Raises:
        ValueError: A group is empty or holds NaN.
    """
    _groups_fit(positives, negatives)
    above = _placements(positives, negatives)
    below = 1 - _placements(negatives, positives)
    area = float(above.mean())
    m, n = len(positives), len(negatives)
    if min(m, n) < 2 or not 0 < area < 1:
        return hanley_mcneil(area, m, n, confidence)
    error = float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))
    if error == 0:
        return hanley_mcneil(area, m, n, confidence)
    return _logit_interval(area, error, m + n, confidence)


def hanley_mcneil(
    area: float, positives: int, negatives: int, confidence: float = 0.95
) -> Estimate:
    """Returns an area with the interval that needs no scores, only the sizes of both groups.

    Source: Hanley and McNeil 1982, Radiology 143, 29-36, equation 1.
    """
    # An area of exactly 0 or 1 is taken half a comparison inwards: it has no spread otherwise.
    edge = 0.5 / (positives * negatives)
    inside = min(max(area, edge), 1 - edge)
    first, second = inside / (2 - inside), 2 * inside**2 / (1 + inside)
    variance = (
        inside * (1 - inside)
        + (positives - 1) * (first - inside**2)
        + (negatives - 1) * (second - inside**2)
    ) / (positives * negatives)
    found = _logit_interval(inside, float(np.sqrt(variance)), positives + negatives, confidence)
    return Estimate(
        value=area,
        low=min(found.low, area),
        high=max(found.high, area),
        confidence=confidence,
        n=found.n,
    )


def tpr_at_fpr(
    positives: Floats, negatives: Floats, rate: float, confidence: float = 0.95
) -> LowTail:
    """Returns the true positive rate where at most ``rate`` of the negatives are flagged.

    The threshold lies just above the score of the first negative too many. Each axis has an exact
    interval at half of alpha, so both hold together. The threshold was chosen on these same
    negatives: choose it on one half and count on the other where that matters.

    Raises:
        ValueError: A group is empty or holds NaN, or ``rate`` is not between 0 and 1.
    """
    _groups_fit(positives, negatives)
    if not 0 <= rate < 1:
        raise ValueError(f"the false positive rate is {rate}, it must lie in [0, 1)")
    allowed = int(np.floor(rate * len(negatives) + 1e-9))
    threshold = float(np.sort(negatives)[::-1][allowed])
    each = 1 - (1 - confidence) / 2
    return LowTail(
        binomial(int(np.sum(positives > threshold)), len(positives), each),
        binomial(int(np.sum(negatives > threshold)), len(negatives), each),
        threshold,
    )


def best_threshold(positives: Floats, negatives: Floats) -> float:
    """Returns the score that parts the groups best by balanced accuracy; flag what reaches it.

    The highest such score: of equal thresholds it flags the fewest. Nothing is flagged when no
    score does better than chance.
    """
    curve = roc_curve(positives, negatives)
    return float(curve.thresholds[np.argmax(curve.true_positive - curve.false_positive)])


def _logit_interval(area: float, error: float, n: int, confidence: float) -> Estimate:
    z = float(special.ndtri((1 + confidence) / 2))
    reach = z * error / (area * (1 - area))
    centre = float(special.logit(area))
    return Estimate(
        value=area,
        low=min(area, float(special.expit(centre - reach))),
        high=max(area, float(special.expit(centre + reach))),
        confidence=confidence,
        n=n,
    )


def _placements(scores: Floats, others: Floats) -> Floats:
    """Returns for each score the share of ``others`` below it, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left")
    up_to = np.searchsorted(ordered, scores, side="right")
    placed: Floats = (below + up_to) / (2 * len(others))
    return placed


def _share_from(scores: Floats, thresholds: Floats) -> Floats:
    ordered = np.sort(scores)
    share: Floats = 1 - np.searchsorted(ordered, thresholds, side="left") / len(scores)
    return share


def _groups_fit(positives: Floats, negatives: Floats) -> None:
    if not len(positives) or not len(negatives):
        raise ValueError(f"{len(positives)} positives and {len(negatives)} negatives; both needed")
    if np.isnan(positives).any() or np.isnan(negatives).any():
        raise ValueError("some scores are NaN, so the groups cannot be put in order")
