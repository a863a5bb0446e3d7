"""A filter that grows a group of rows to all rows of its class that share its pattern.

The difference between the group's mean and what its content should look like, seen through the
inverse covariance of ordinary rows, is the best linear detector of an added pattern (matched
filter; Fisher 1936). Applying it and taking the group anew, until it stays, finds a faint picture
or a patch that most of the group shares.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from tasks.detectors.poisoning.students import Labels, Scores
from tasks.detectors.poisoning.tails import Places
from tasks.detectors.poisoning.views import Floats
from tasks.statistics.multiple import benjamini_hochberg, tailed_p_values

MOST_VALUES = 4096
"""Larger pictures are averaged over blocks first: the covariance has this number squared."""
SAMPLE = 6000
RIDGE = 1e-3
"""Of the mean variance."""
ROUNDS = 8
FAINT = 0.5
"""Of the median row of a group: what shows the pattern less only resembles it."""
FALSE_DISCOVERIES = 0.05
LEAST_GROUP = 4
MOST_PART = 0.5
"""A group beyond this part of its class is the class, and no pattern laid over it."""


class Filter(NamedTuple):
    """Rows (n, values), their classes, class means (classes, values) and a factored covariance."""

    rows: Floats
    labels: Labels
    means: Floats
    factor: tuple[NDArray[np.float32], bool]

    def weights(self, pattern: Floats) -> Floats:
        """Returns the linear detector of a pattern (values,), or of several (k, values)."""
        solved: Floats = scipy.linalg.cho_solve(self.factor, pattern.T, check_finite=False).T
        return solved


def filter_of(shown: Floats, labels: Labels, *, classes: int, seed: int) -> Filter:
    """Builds the filter from all rows; the covariance comes from a sample of them."""
    rows = blocks(shown).reshape(len(shown), -1)
    means = np.stack(
        [rows[labels == c].mean(0) if (labels == c).any() else rows.mean(0) for c in range(classes)]
    )
    drawn = np.random.default_rng(seed).permutation(len(rows))[:SAMPLE]
    residuals = rows[drawn] - means[labels[drawn]]
    covariance = residuals.T @ residuals / len(drawn)
    ridge = RIDGE * float(np.trace(covariance)) / len(covariance)
    covariance[np.diag_indices_from(covariance)] += max(ridge, 1e-9)
    factor = scipy.linalg.cho_factor(covariance, lower=True, check_finite=False)
    return Filter(rows, labels, means.astype(np.float32), factor)


def blocks(shown: Floats) -> Floats:
    """Averages pictures over square blocks until they have at most ``MOST_VALUES`` values."""
    while shown.ndim == 4 and shown[0].size > MOST_VALUES and min(shown.shape[2:]) >= 2:
        n, channels, height, width = shown.shape
        even = shown[:, :, : height // 2 * 2, : width // 2 * 2]
        shape = (n, channels, height // 2, 2, width // 2, 2)
        shown = even.reshape(shape).mean((3, 5), dtype=np.float32)
    return shown


class Grown(NamedTuple):
    """A group that has settled: its rows (places), their p-values, and how to know more of them."""

    rows: Places
    p_values: Scores
    weights: Floats
    """Linear detector of what sets the rows apart from the rest of their class (values,)."""
    least: float
    """Lowest score of a row of the group."""


def grown(filter_: Filter, label: int, group: Places, *, others: Places) -> Grown | None:
    """Returns the rows of a class that share what sets the group apart; None if it dissolves.

    Args:
        filter_: All rows.
        label: The class.
        group: Places of the rows to start from.
        others: Places of rows of other classes that say how high ordinary rows score.
    """
    own = np.flatnonzero(filter_.labels == label)
    found: Grown | None = None
    for _ in range(ROUNDS):
        rest = np.setdiff1d(own, group)
        if not len(rest):
            return None
        pattern = filter_.rows[group].mean(0) - filter_.rows[rest].mean(0)
        scores, null, weights = _scored(filter_, pattern, own, others, group)
        p_values = tailed_p_values(scores, null)
        marked = benjamini_hochberg(p_values, FALSE_DISCOVERIES)
        if marked.any():
            marked &= scores >= FAINT * np.median(scores[marked])
        if not LEAST_GROUP <= marked.sum() <= MOST_PART * len(own):
            return None
        found = Grown(own[marked], p_values[marked], weights, float(scores[marked].min()))
        if np.array_equal(found.rows, np.sort(group)):
            break
        group = found.rows
    return found


def flagged(scores: Scores, null: Scores) -> NDArray[np.bool_]:
    """Marks what scores higher than rows without the pattern do, at the false discovery rate."""
    return benjamini_hochberg(tailed_p_values(scores, null), FALSE_DISCOVERIES)


def _scored(
    filter_: Filter, pattern: Floats, own: Places, others: Places, group: Places
) -> tuple[Scores, Scores, Floats]:
    """Returns how much each row of a class, and of others, shows a pattern, and its detector.

    What a row scores only because it helped to make the pattern is taken off.
    """
    weights = filter_.weights(pattern)
    scores: Scores = (filter_.rows[own] @ weights).astype(np.float64)
    null: Scores = (filter_.rows[others] @ weights).astype(np.float64)
    members = filter_.rows[group]
    mean = members.mean(0)
    alone = filter_.weights(members)
    itself = (alone * members).sum(1) - alone @ mean
    scores[np.searchsorted(own, group)] -= itself / max(len(group) - 1, 1)
    return scores, null, weights
