"""How a scan shows raw rows to its networks and filters: pictures scaled, tables ranked.

Made once from the rows in question; whatever is stamped later is shown the same way.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
FEW_VALUES = 20
"""Columns with at most so many whole values are also shown one by one."""
MOST_KNOTS = 1000


class PictureView(NamedTuple):
    """Scales raw pictures to 0..1 as a whole."""

    low: float
    high: float

    def shown(self, raw: Floats) -> Floats:
        """Returns ``raw`` (n, *item) scaled, same shape."""
        return ((raw - self.low) / max(self.high - self.low, 1e-9)).astype(np.float32)


class TableView(NamedTuple):
    """Shows each column as its rank among the rows, and few-valued columns as ones and zeros."""

    knots: tuple[Floats, ...]
    values: tuple[Floats, ...]

    def shown(self, raw: Floats) -> Floats:
        """Returns ``raw`` (n, columns) as (n, more columns), about -1..1."""
        parts: list[Floats] = []
        for place, (knots, values) in enumerate(zip(self.knots, self.values, strict=True)):
            column = raw[:, place]
            share = (
                np.searchsorted(knots, column, "left") + np.searchsorted(knots, column, "right")
            ) / len(knots)
            parts.append((share - 1)[:, None].astype(np.float32))
            if len(values):
                parts.append((column[:, None] == values).astype(np.float32))
        return np.concatenate(parts, axis=1)


View = PictureView | TableView


def view_of(raw: Floats) -> View:
    """Returns the view for rows like these: tables are flat (n, columns), all else is pictures."""
    if raw.ndim != 2:
        return PictureView(float(raw.min()), float(raw.max()))
    knots, values = [], []
    for column in raw.T:
        ordered = np.sort(column)
        step = max(1, len(ordered) // MOST_KNOTS)
        knots.append(ordered[::step])
        found = np.unique(column)
        few = len(found) <= FEW_VALUES and bool((found == np.floor(found)).all())
        values.append(found if few else found[:0])
    return TableView(tuple(knots), tuple(values))
