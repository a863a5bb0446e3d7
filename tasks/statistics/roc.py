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
    that the interval stays between 0 and 1. Where the scores show no spread, the interval comes
    from the sizes: exact from disjoint pairs for a perfect separation, else Hanley and McNeil's.

    Raises:
        ValueError: A group is empty or holds NaN.
    """
    _groups_fit(positives, negatives)
    above = _placements(positives, negatives)
    below = 1 - _placements(negatives, positives)
    area = float(above.mean())
    m, n = len(positives), len(negatives)
    if area in {0.0, 1.0}:
        return _from_pairs(area, m, n, confidence)
    if min(m, n) < 2:
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
    # The formula is not symmetric; turned scores must give the turned interval.
    if area < 0.5:
        turned = hanley_mcneil(1 - area, positives, negatives, confidence)
        ends = {"value": area, "low": 1 - turned.high, "high": 1 - turned.low}
        return turned.model_copy(update=ends)
    if area >= 1:
        return _from_pairs(area, positives, negatives, confidence)
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area)
        + (positives - 1) * (first - area**2)
        + (negatives - 1) * (second - area**2)
    ) / (positives * negatives)
    return _logit_interval(area, float(np.sqrt(variance)), positives + negatives, confidence)


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


def _from_pairs(area: float, positives: int, negatives: int, confidence: float) -> Estimate:
    """Returns an area of 0 or 1 with the exact interval of as many disjoint pairs as there are."""
    pairs = min(positives, negatives)
    exact = binomial(pairs if area else 0, pairs, confidence)
    return exact.model_copy(update={"n": positives + negatives})


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
