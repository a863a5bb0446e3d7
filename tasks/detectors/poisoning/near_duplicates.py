"""Rows that repeat one another almost exactly, as when a few rows are injected many times.

Rows are hashed by signs of random projections (Charikar 2002, SimHash); rows that share a band of
bits are compared (locality-sensitive hashing; Broder 1997 for the banding).
"""

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.poisoning.matched_filter import blocks
from tasks.detectors.poisoning.students import Labels, Scores
from tasks.detectors.poisoning.views import Floats

BANDS, BITS = 6, 20
CLOSE = 0.02
"""Squared distance, relative to that of two ordinary rows."""
MOST_IN_BUCKET = 200


def near_duplicates(shown: Floats, labels: Labels, *, seed: int) -> Scores:
    """Returns how many other rows of the same class nearly repeat each row (n,).

    Args:
        shown: Rows (n, *item) as a view shows them.
        labels: Classes (n,).
        seed: Draws the projections.
    """
    rows = blocks(shown).reshape(len(shown), -1)
    rows = rows - rows.mean(0)
    usual = max(float(2 * (rows**2).sum(1).mean()), 1e-12)
    rng = np.random.default_rng(seed)
    twins: list[set[int]] = [set() for _ in range(len(rows))]
    for _ in range(BANDS):
        planes = rng.normal(size=(rows.shape[1], BITS)).astype(np.float32)
        marks = ((rows @ planes) > 0) @ (1 << np.arange(BITS)) * (int(labels.max()) + 1) + labels
        for bucket in _buckets(marks):
            _compare(rows, bucket, usual * CLOSE, twins)
    return np.array([len(each) for each in twins], np.float64)


def _buckets(marks: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    order = np.argsort(marks, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(marks[order])) + 1)
    return [part[:MOST_IN_BUCKET] for part in parts if len(part) > 1]


def _compare(rows: Floats, bucket: NDArray[np.intp], most: float, twins: list[set[int]]) -> None:
    own = rows[bucket]
    squares = (own**2).sum(1)
    distances = squares[:, None] + squares - 2 * own @ own.T
    for first, second in zip(*np.nonzero(np.triu(distances <= most, 1)), strict=True):
        twins[bucket[first]].add(int(bucket[second]))
        twins[bucket[second]].add(int(bucket[first]))
