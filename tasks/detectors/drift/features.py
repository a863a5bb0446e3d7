"""Data drift: every column of two sketches by itself.

Is a column different at all: Kolmogorov-Smirnov for numbers, chi-square for categories, and a test
of the share of missing values beside it; Holm over all columns. Is it different enough to matter:
the distance (Kolmogorov; total variation for categories) with an interval that holds whatever the
distributions are. Only the second is a reason to fail: with a million rows every difference is
significant.
"""

from typing import NamedTuple

import numpy as np

from tasks.detectors.drift.sketch import HASHED, Role, Sketch
from tasks.domain.estimate import Estimate
from tasks.statistics.multiple import holm
from tasks.statistics.two_sample import (
    Counts,
    distance_interval,
    homogeneity,
    kolmogorov_distance,
    kolmogorov_smirnov,
    stability_index,
    total_variation,
)

STABILITY_CELLS = 10
ROWS_A_NAME, LEAST_NAMES = 128, 8
"""Without change, the total variation over k cells is about 0.4 times the root of k (1/m + 1/n):
with so many rows of the smaller table for each cell that is at most 0.05."""


class Shift(NamedTuple):
    """What happened to one column."""

    name: str
    kind: str
    role: Role
    test: str
    distance: Estimate
    p_value: float
    significant: bool
    stability: float
    stability_p_value: float
    missing: tuple[float, float]
    resolution: float
    """Share of the reference in its heaviest cell: the distance may be larger by as much."""


class Cells(NamedTuple):
    """One column's counts in both tables, known values apart from missing ones."""

    reference: Counts
    current: Counts
    missing: tuple[int, int]


def compare(
    reference: Sketch, current: Sketch, *roles: Role, alpha: float = 0.05
) -> tuple[Shift, ...]:
    """Compares the columns of these roles, the largest distance first.

    Args:
        reference: What it should look like.
        current: What it looks like now, under the same layout.
        roles: Which columns; features when none is named.
        alpha: Chance of calling any of them different when none is, and that any interval misses.

    Raises:
        ValueError: The sketches have different layouts.
    """
    if reference.layout.digest != current.layout.digest:
        raise ValueError("sketches of different layouts cannot be compared")
    places = reference.places(*(roles or ("feature",)))
    if not places:
        return ()
    found = [
        _shift(
            reference,
            at,
            Cells(*_known(reference, current, at)),
            confidence=1 - alpha / len(places),
        )
        for at in places
    ]
    marks = holm(np.array([shift.p_value for shift in found]), alpha)
    told = [
        shift._replace(significant=bool(mark)) for shift, mark in zip(found, marks, strict=True)
    ]
    return tuple(sorted(told, key=lambda one: (-one.distance.value, one.name)))


def largest(shifts: tuple[Shift, ...]) -> Estimate:
    """Returns the largest distance of all columns; each interval holds with its share of alpha."""
    top = shifts[0].distance
    low = max(shift.distance.low for shift in shifts)
    high = max(shift.distance.high for shift in shifts)
    count = len(shifts)
    confidence = 1 - count * (1 - top.confidence)
    return Estimate(
        value=top.value,
        low=min(low, top.value),
        high=high,
        confidence=round(confidence, 12),
        n=top.n,
    )


def distance_of(cells: Cells, *, number: bool, confidence: float) -> Estimate:
    """Returns how far a column moved: its known values, or the share of missing ones."""
    m, n = (int(one.sum()) for one in (cells.reference, cells.current))
    each = (1 + confidence) / 2
    moved = _missing_distance(cells, m, n, each)
    if not m and not n:
        return moved.model_copy(update={"confidence": confidence})
    if number:
        value = kolmogorov_distance(cells.reference, cells.current)
        known = distance_interval(value, m, n, confidence=each)
    else:
        one, two = by_name(cells.reference, cells.current)
        value = total_variation(one, two)
        known = distance_interval(value, m, n, cells=len(one), confidence=each)
    return Estimate(
        value=max(known.value, moved.value),
        low=max(known.low, moved.low),
        high=max(known.high, moved.high),
        confidence=confidence,
        n=max(known.n, moved.n),
    )


def by_name(first: Counts, second: Counts) -> tuple[Counts, Counts]:
    """Takes categories together until few rows can tell: the commonest, the others, and new names.

    Layouts list names by how common they are in the reference, and hash those they do not know.
    """
    named = len(first) - HASHED
    rows = int(min(first.sum(), second.sum()))
    kept = min(named, max(LEAST_NAMES, rows // ROWS_A_NAME))
    one, two = (
        np.array([*counts[:kept], counts[kept:named].sum(), counts[named:].sum()])
        for counts in (first, second)
    )
    filled = (one + two) > 0
    return one[filled], two[filled]


def _shift(reference: Sketch, at: int, cells: Cells, *, confidence: float) -> Shift:
    column = reference.layout.columns[at]
    number = column.kind == "number"
    test = kolmogorov_smirnov if number else homogeneity
    known = test(cells.reference, cells.current)
    m, n = int(cells.reference.sum()), int(cells.current.sum())
    gone = homogeneity(np.array([m, cells.missing[0]]), np.array([n, cells.missing[1]]))
    index = stability_index(*_coarse(cells, number=number))
    heaviest = int(cells.reference.max(initial=0)) / max(1, m) if number else 0.0
    return Shift(
        name=column.name,
        kind=column.kind,
        role=column.role,
        test="Kolmogorov-Smirnov" if number else "chi-square",
        distance=distance_of(cells, number=number, confidence=confidence),
        p_value=min(1.0, 2 * min(known.p_value, gone.p_value)),
        significant=False,
        stability=index.statistic,
        stability_p_value=index.p_value,
        missing=(
            cells.missing[0] / max(1, reference.rows),
            cells.missing[1] / max(1, n + cells.missing[1]),
        ),
        resolution=heaviest,
    )


def _known(reference: Sketch, current: Sketch, at: int) -> tuple[Counts, Counts, tuple[int, int]]:
    one, two = reference.counts[at], current.counts[at]
    return one[:-1], two[:-1], (int(one[-1]), int(two[-1]))


def _missing_distance(cells: Cells, m: int, n: int, confidence: float) -> Estimate:
    rows = m + cells.missing[0], n + cells.missing[1]
    if not all(rows):
        return distance_interval(0.0, 0, 0, confidence=confidence)
    value = abs(cells.missing[0] / rows[0] - cells.missing[1] / rows[1])
    return distance_interval(value, *rows, confidence=confidence)


def _coarse(cells: Cells, *, number: bool) -> tuple[Counts, Counts]:
    """Returns about ten cells for the stability index: deciles of the reference, or categories."""
    if not number:
        return by_name(cells.reference, cells.current)
    share = np.cumsum(cells.reference) / max(1, cells.reference.sum())
    group = np.minimum((share * STABILITY_CELLS - 1e-9).astype(np.int64), STABILITY_CELLS - 1)
    one, two = (
        np.bincount(group, weights=counts, minlength=STABILITY_CELLS).astype(np.int64)
        for counts in (cells.reference, cells.current)
    )
    return one, two
