"""Controls with a known answer, made from the reference alone.

Rows drawn without replacement from a table have counts that are drawn without replacement from its
counts, so a reference is split in two without its rows: the halves differ by chance alone. What is
planted moves a known share of the rows of one half.
"""

import numpy as np

from tasks.detectors.drift.sketch import Sketch
from tasks.statistics.two_sample import Counts


def split(reference: Sketch, rows: int, *, seed: int) -> tuple[Sketch, Sketch]:
    """Returns what is left of the reference, and about ``rows`` rows drawn from it.

    Each column is drawn by itself: for tests of single columns, not of their dependence.
    """
    rng = np.random.default_rng(seed)
    drawn = [_drawn(counts, rows, rng) for counts in reference.counts]
    left = tuple(whole - part for whole, part in zip(reference.counts, drawn, strict=True))
    return (
        reference._replace(counts=left, rows=reference.rows - rows),
        reference._replace(counts=tuple(drawn), rows=rows),
    )


def with_shift(sketch: Sketch, share: float, *, seed: int) -> Sketch:
    """Moves a share of every column's known values to one cell.

    Numbers go to their highest cell, categories to their rarest; the distance from the original is
    that share, less what lay there already.
    """
    rng = np.random.default_rng(seed)
    moved = []
    for at, counts in enumerate(sketch.counts):
        changed = counts.copy()
        taken = rng.binomial(counts[:-1], share)
        changed[:-1] -= taken
        changed[_into(sketch, at)] += taken.sum()
        moved.append(changed)
    return sketch._replace(counts=tuple(moved))


def _into(sketch: Sketch, at: int) -> int:
    counts = sketch.counts[at][:-1]
    if sketch.layout.columns[at].kind == "number":
        return len(counts) - 1
    return int(counts.argmin())


def _drawn(counts: Counts, rows: int, rng: np.random.Generator) -> Counts:
    drawn: Counts = rng.multivariate_hypergeometric(counts, min(rows, int(counts.sum())))
    return drawn
