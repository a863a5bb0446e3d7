"""How right a model probably is where nobody knows the answers, from its confidence alone.

Two estimates from counts by confidence. *Confidence-based* (CBPE): the reference says how often the
model is right at each confidence; current rows are weighted by it. *Threshold* (ATC): in the
reference, as many rows are above a confidence as are right; count the rows above it now.

Both assume that at a given confidence the model is right as often as before: no change of concept.
A rule that turned under the same inputs is invisible to them.

Sources: NannyML's confidence-based performance estimation (Kivimäki et al. 2024, arXiv 2407.08649);
Garg et al. 2022, arXiv 2201.04234.
"""

from typing import NamedTuple

import numpy as np

from tasks.domain.estimate import Estimate
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats
from tasks.statistics.two_sample import Counts

GROUPS = 20
DRAWS = 1000


class Outcomes(NamedTuple):
    """Counts by confidence (cells,): rows shown to the model, with a label, answered rightly."""

    shown: Counts
    answered: Counts
    right: Counts


class Estimated(NamedTuple):
    """Accuracy of the reference, and what both methods expect now."""

    reference: float
    by_confidence: float
    by_threshold: float
    drop: Estimate
    """Reference minus confidence-based, with a bootstrap interval."""


def estimated(reference: Outcomes, shown: Counts, *, seed: int) -> Estimated:
    """Estimates the accuracy on rows of which only the confidence is known.

    Args:
        reference: Labelled counts.
        shown: Current rows by confidence (cells,), at least one.
        seed: Seeds the bootstrap.

    Raises:
        ValueError: The reference has no labelled row, or nothing was shown.
    """
    if not reference.answered.sum() or not shown.sum():
        raise ValueError("an estimate needs labelled rows before and answered rows now")
    group = _groups(reference.answered)
    right, answered, now = (
        np.bincount(group, weights=counts, minlength=GROUPS)
        for counts in (reference.right, reference.answered, shown)
    )
    accuracy, expected = _both(right[None], answered[None], now[None])
    rng = np.random.default_rng(seed)
    rows, total = int(answered.sum()), int(now.sum())
    joint = np.concatenate([right, answered - right]) / rows
    drawn = rng.multinomial(rows, joint, size=DRAWS)
    drawn_right, wrong = drawn[:, :GROUPS], drawn[:, GROUPS:]
    current = rng.multinomial(total, now / total, size=DRAWS)
    before, after = _both(drawn_right, drawn_right + wrong, current)
    low, high = np.quantile(before - after, [0.025, 0.975])
    value = float(accuracy[0] - expected[0])
    return Estimated(
        reference=float(accuracy[0]),
        by_confidence=float(expected[0]),
        by_threshold=_above_threshold(reference, shown),
        drop=Estimate(
            value=value, low=min(value, float(low)), high=max(value, float(high)), n=rows + total
        ),
    )


def drawn_apart(
    reference: Outcomes, rows: int, *, tilt: float, seed: int
) -> tuple[Outcomes, Outcomes]:
    """Splits labelled rows in two; with a tilt, the drawn half prefers low confidence.

    Args:
        reference: Labelled counts.
        rows: How many to draw, at most half of them are.
        tilt: How many times more often a row of confidence 0 is drawn than one of confidence 1,
            as a power of e; 0 draws evenly.
        seed: Seeds the draws.

    Returns:
        What is left, and what was drawn.
    """
    rng = np.random.default_rng(seed)
    cells = np.concatenate([reference.right, reference.answered - reference.right])
    place = np.tile(np.linspace(0, 1, len(reference.right)), 2)
    chance = np.exp(-tilt * place)
    rows = min(rows, int(cells.sum()) // 2)
    share = rows / max(1e-9, float((cells * chance).sum()))
    drawn = rng.binomial(cells, np.minimum(1.0, chance * share))
    return _of_cells(cells - drawn), _of_cells(drawn)


def _of_cells(cells: Counts) -> Outcomes:
    right, wrong = np.split(cells, 2)
    return Outcomes(right + wrong, right + wrong, right)


def _both(right: Array, answered: Array, now: Array) -> tuple[Floats, Floats]:
    """Returns accuracy of the reference and expected accuracy now, for each draw (draws,)."""
    overall = right.sum(axis=1) / answered.sum(axis=1)
    # A group without labels says nothing; the overall rate stands in for it.
    rate = np.where(answered > 0, right / np.maximum(answered, 1), overall[:, None])
    return overall, (rate * now).sum(axis=1) / now.sum(axis=1)


def _groups(answered: Counts) -> Counts:
    """Joins neighbouring cells into groups of about equally many labelled rows."""
    share = (np.cumsum(answered) - answered / 2) / answered.sum()
    groups: Counts = np.minimum((share * GROUPS).astype(np.int64), GROUPS - 1)
    return groups


def _above_threshold(reference: Outcomes, shown: Counts) -> float:
    above = np.cumsum(reference.answered[::-1])[::-1]
    at = int(np.argmin(np.abs(above - reference.right.sum())))
    # Inside the cell of the threshold, rows are taken to lie evenly.
    spare = (reference.right.sum() - above[at]) / max(1, reference.answered[max(0, at - 1)])
    inside = float(np.clip(spare, -1, 1)) * float(shown[max(0, at - 1)])
    return float(np.clip((shown[at:].sum() + inside) / shown.sum(), 0, 1))
