"""How right a model probably is where nobody knows the answers and its inputs have moved.

*Probabilistic adaptive performance estimation* (PAPE): rows of the reference are weighted by how
much more often rows like them come now; under these weights one sees how often the model is right
at each confidence, and current rows are weighted by that. So a model that is surer than it may be
on inputs which were rare before is seen, where confidence alone says that nothing has changed.

Assumes that what is right for an input stays right (covariate shift), and that every input of now
came before, if seldom. The weights are the odds that a classifier gives between both tables.

Source: Białek, Kivimäki, Kuberski and Perrakis 2024, Estimating Model Performance Under Covariate
Shift Without Labels, arXiv 2401.08348.
"""

from typing import NamedTuple

import numpy as np

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import Floats
from tasks.statistics.two_sample import Counts

GROUPS = 20
DRAWS = 300
MOST_WEIGHT = 20.0
"""No row stands for more than so many: one that nearly never came before would decide alone."""


class Answered(NamedTuple):
    """Rows of the reference: the model's confidence, whether it was right, and their odds."""

    confidence: Floats
    right: Floats
    odds: Floats
    """How much likelier a row is one of now, as the classifier ranks it (rows,)."""


class Shifted(NamedTuple):
    """What is expected now, and how many rows of the reference speak to it."""

    accuracy: float
    drop: Estimate
    """Accuracy of the reference rows, as they are, minus the expected; a bootstrap interval."""
    effective_rows: float
    """Kish's count: so many rows of equal weight would tell as much."""


def odds_of(scores: Floats, *, before: int, now: int) -> Floats:
    """Returns the odds of rows from a classifier's scores in 0..1, corrected for table sizes."""
    inside = np.clip(scores, 1e-3, 1 - 1e-3)
    odds: Floats = np.minimum(inside / (1 - inside) * before / now, MOST_WEIGHT)
    return odds


def under_shift(reference: Answered, confidence: Floats, *, seed: int) -> Shifted:
    """Estimates the accuracy on rows of which inputs and confidence are known.

    Args:
        reference: Labelled rows; the odds come from a classifier that had not seen them.
        confidence: Of rows of now, at least one.
        seed: Seeds the bootstrap, which takes the odds as they are.

    Raises:
        ValueError: One of both is empty.
    """
    rows, total = len(reference.right), len(confidence)
    if not rows or not total:
        raise ValueError("an estimate needs labelled rows before and answered rows now")
    edges = _edges(reference)
    before = np.searchsorted(edges, reference.confidence, side="right")
    now = np.searchsorted(edges, confidence, side="right")

    def drop(taken: Counts, met: Counts) -> float:
        """Of drawn rows of both tables, by their places."""
        weight, right = reference.odds[taken], reference.right[taken]
        group = before[taken]
        shown = np.bincount(group, weight, GROUPS)
        hits = np.bincount(group, weight * right, GROUPS)
        overall = hits.sum() / shown.sum()
        # A group without labels says nothing; the overall rate stands in for it.
        rate = np.where(shown > 0, hits / np.maximum(shown, 1e-12), overall)
        return float(right.mean() - rate[now[met]].mean())

    value = drop(np.arange(rows), np.arange(total))
    rng = np.random.default_rng(seed)
    drawn = [drop(rng.integers(rows, size=rows), rng.integers(total, size=total))
             for _ in range(DRAWS)]  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Shifted(
        accuracy=float(reference.right.mean()) - value,
        drop=Estimate(
            value=value, low=min(value, float(low)), high=max(value, float(high)), n=rows + total
        ),
        effective_rows=float(reference.odds.sum() ** 2 / (reference.odds**2).sum()),
    )


def _edges(reference: Answered) -> Floats:
    """Returns the confidences between groups that weigh about the same."""
    order = np.argsort(reference.confidence, kind="stable")
    weight = reference.odds[order]
    share = (np.cumsum(weight) - weight / 2) / weight.sum()
    at = np.searchsorted(share, np.linspace(0, 1, GROUPS + 1)[1:-1])
    edges: Floats = reference.confidence[order][np.minimum(at, len(order) - 1)]
    return edges
