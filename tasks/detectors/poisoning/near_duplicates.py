"""Rows that repeat one another almost exactly, as when a few rows are injected many times.

In a table of few columns every row has close neighbours, so being close says nothing. Repeats stand
alone: around them the number of neighbours hardly grows with the distance, while among ordinary
rows it grows at least as the distance does. Values that many rows share by themselves
are told from rows drawn column by column.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.poisoning.matched_filter import blocks
from tasks.detectors.poisoning.students import Labels, Scores
from tasks.detectors.poisoning.views import Floats

CLOSE = 0.02
"""Largest squared distance of a repeat, relative to that of two ordinary rows."""
WIDER, SCALES = 2.0, 9
"""Each scale is so many times smaller than the one before."""
ALONE, ALONE_AT_ONCE = 1.5, 1.25
"""Around repeats neighbours grow by no more over two scales; or over one, where there are enough
that chance does not make it so."""
ENOUGH = 20
BEYOND_CHANCE = 5.0
"""So many times more than among rows drawn column by column."""
MANY = 5
PART = 256
Counts = NDArray[np.float64]


class Repeats(NamedTuple):
    """How often each row is repeated (n,), and the share of drawn rows that seem repeated."""

    twins: Scores
    commonplace: float


def near_duplicates(raw: Floats, labels: Labels, *, seed: int) -> Repeats:
    """Counts the other rows of the same class that nearly repeat each row.

    Args:
        raw: Rows (n, *item); the columns of a table (n, columns) are scaled by their spread. Ranks
            would not do: they pull the repeats of a row apart.
        labels: Classes (n,).
        seed: Draws the rows for comparison.
    """
    table = raw.ndim == 2
    flat = blocks(raw).reshape(len(raw), -1).astype(np.float64)
    flat = flat - flat.mean(0)
    if table:
        flat /= np.maximum(flat.std(0), 1e-12)
    usual = max(float(2 * (flat**2).sum(1).mean()), 1e-12)
    rng = np.random.default_rng(seed)
    twins, chance = np.zeros(len(flat)), np.zeros(len(flat))
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        own = flat[places]
        counts, expected = _counts(own, own, usual) - 1, np.zeros((len(own), SCALES + 2))
        if table:
            drawn = rng.permuted(own, axis=0)
            expected = _counts(own, drawn, usual)
            chance[places] = _alone(_counts(drawn, drawn, usual) - 1)
        twins[places] = _alone(counts, least=BEYOND_CHANCE * expected)
    return Repeats(twins, float((chance >= MANY).mean()))


def _counts(rows: Counts, among: Counts, usual: float) -> Counts:
    """Counts neighbours of each row at each scale, the widest first (n, SCALES + 2)."""
    radii = usual * CLOSE * WIDER ** (4 - 2 * np.arange(SCALES + 2.0))
    squares = (among**2).sum(1)
    found = []
    for part in np.split(rows, range(PART, len(rows), PART)):
        distances = (part**2).sum(1)[:, None] + squares - 2 * part @ among.T
        found.append(np.stack([(distances <= radius).sum(1) for radius in radii], axis=1))
    return np.concatenate(found).astype(np.float64)


def _alone(counts: Counts, least: Counts | float = 0.0) -> Scores:
    """Returns the most neighbours of each row at a scale at which they stand alone (n,)."""
    widest, wider, inside = counts[:, :-2], counts[:, 1:-1], counts[:, 2:]
    floor = least[:, 2:] if isinstance(least, np.ndarray) else least
    alone = widest <= ALONE * inside
    alone |= (wider <= ALONE_AT_ONCE * inside) & (inside >= ENOUGH)
    counted = np.where(alone & (inside >= floor), inside, 0)
    most: Scores = counted.max(1)
    return most
