"""From a sample of the reference to the cells in which everything is counted."""

import numpy as np

from tasks.detectors.drift.sketch import EDGES, MOST_CATEGORIES, Column, Role
from tasks.statistics.intervals import Floats

FEW = 20
"""Whole numbers with at most this many values are codes, not quantities."""


def edges_of(sample: Floats) -> Floats:
    """Returns the upper ends of cells that hold about equally many values of the sample.

    A value that many rows share gets a cell of its own.
    """
    ordered = np.sort(sample[np.isfinite(sample)])
    if not len(ordered):
        return np.zeros(0)
    single = ordered[np.flatnonzero(np.diff(ordered, prepend=np.nan) != 0)]
    if len(single) <= EDGES:
        return single
    ranks = np.linspace(0, len(ordered) - 1, EDGES).round().astype(np.int64)
    picked, times = np.unique(ordered[ranks], return_counts=True)
    below = np.nextafter(picked[times > 1], -np.inf)
    return np.unique(np.concatenate([picked, below]))


def is_code(sample: Floats) -> bool:
    """Answers whether numbers are codes of categories: whole, and few of them."""
    known = sample[np.isfinite(sample)]
    if not len(known) or bool((known != np.floor(known)).any()):
        return False
    return len(np.unique(known)) <= FEW


def number_column(name: str, role: Role, sample: Floats) -> tuple[Column, Floats]:
    """Describes a column of numbers."""
    return Column(name=name, kind="number", role=role), edges_of(sample)


def category_column(name: str, role: Role, names: dict[str, int]) -> tuple[Column, Floats]:
    """Describes a column of categories; the commonest get a cell of their own."""
    common = sorted(names, key=lambda one: (-names[one], one))[:MOST_CATEGORIES]
    return Column(name=name, kind="category", role=role, categories=tuple(common)), np.zeros(0)


def code_name(value: float) -> str:
    """Returns the name of a code, the same for 3, 3.0 and an int64 of it."""
    return str(int(value)) if value == np.floor(value) and abs(value) < 2**53 else repr(value)
