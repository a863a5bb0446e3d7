"""What holds between the columns of a table without exception, counted batch by batch.

A relation that no row breaks may say nothing: ages are below salaries whatever one pairs. So each
is also counted on rows put together at random, and kept only where it would then be broken often.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.intake.table_batches import Coded
from tasks.statistics.intervals import Floats

LEAST_ROWS = 100
LEAST_SURPRISE = 30
"""Random rows that must break a relation: by chance alone it then holds once in e to the 30th."""
MOST_ORDERED, MOST_DEPENDENT, MOST_KEPT = 64, 24, 200
MOST_NAMES = 1000
_NONE = -1
_SEED = 20_260_101
Codes = NDArray[np.int64]


class Orders:
    """Which columns of numbers are never above which others."""

    def __init__(self, names: list[str]) -> None:
        self._names = names[:MOST_ORDERED]
        shape = (len(self._names), len(self._names))
        self._above = np.zeros(shape, dtype=np.int64)
        self._shuffled = np.zeros(shape, dtype=np.int64)
        self._both = np.zeros(shape, dtype=np.int64)

    def add(self, columns: dict[str, Floats]) -> None:
        """Counts a batch; rows without one of two numbers say nothing about the pair."""
        table = np.column_stack([columns[name] for name in self._names])
        mixed = table[np.random.default_rng(_SEED).permutation(len(table))]
        known = np.isfinite(table)
        for at in range(len(self._names)):
            one = table[:, at, None]
            self._above[at] += (one > table).sum(axis=0)
            self._shuffled[at] += (one > mixed).sum(axis=0)
            self._both[at] += (known[:, at, None] & known).sum(axis=0)

    def told(self) -> list[dict[str, Any]]:
        """Returns the orders worth keeping, the most surprising first."""
        held = (
            (self._above == 0)
            & (self._shuffled >= LEAST_SURPRISE)
            & (self._both >= LEAST_ROWS)
            & ~np.eye(len(self._names), dtype=np.bool_)
        )
        found = sorted(zip(*np.nonzero(held), strict=True), key=lambda at: -self._shuffled[at])
        return [
            {
                "lower": self._names[low],
                "upper": self._names[high],
                "rows": int(self._both[low, high]),
            }
            for low, high in found[:MOST_KEPT]
        ]


class _Pair(NamedTuple):
    """What one column told of another so far: its value there by code, and on how many rows."""

    values: Codes
    rows: int
    shuffled: int


class Dependencies:
    """Which columns of few names fix the value of which others."""

    def __init__(self, names: list[str]) -> None:
        self._places: dict[str, dict[str, int]] = {name: {} for name in names[:MOST_DEPENDENT]}
        self._pairs = {
            (one, two): _Pair(np.full(MOST_NAMES, _NONE), 0, 0)
            for one in self._places
            for two in self._places
            if one != two
        }

    def add(self, columns: dict[str, Coded | None]) -> None:
        """Counts a batch; a pair that one row breaks is forgotten."""
        codes = {name: self._coded(name, columns[name]) for name in [*self._places]}
        for one, two in [*self._pairs]:
            first, second = codes[one], codes[two]
            if first is None or second is None:
                del self._pairs[one, two]
                continue
            both = (first != _NONE) & (second != _NONE)
            following = _followed(self._pairs[one, two], first[both], second[both])
            if following is None:
                del self._pairs[one, two]
            else:
                self._pairs[one, two] = following

    def told(self) -> list[dict[str, Any]]:
        """Returns the dependencies worth keeping."""
        return [
            {
                "column": one,
                "determines": two,
                "fixes": {
                    name: self._named(two, int(pair.values[place]))
                    for name, place in self._places[one].items()
                    if pair.values[place] != _NONE
                },
                "rows": pair.rows,
            }
            for (one, two), pair in self._pairs.items()
            if pair.rows >= LEAST_ROWS and pair.shuffled >= LEAST_SURPRISE
        ][:MOST_KEPT]

    def _coded(self, name: str, column: Coded | None) -> Codes | None:
        """Returns codes that mean the same in every batch; None once there are too many names."""
        if column is None:
            return None
        places = self._places[name]
        for one in column.names:
            places.setdefault(one, len(places))
        if len(places) > MOST_NAMES:
            return None
        moved = np.array([*(places[one] for one in column.names), _NONE], dtype=np.int64)
        found: Codes = moved[column.codes]
        return found

    def _named(self, column: str, place: int) -> str:
        return list(self._places[column])[place]


def _followed(pair: _Pair, first: Codes, second: Codes) -> _Pair | None:
    """Adds rows to what is known of a pair; None when one of them breaks it."""
    values = pair.values.copy()
    new = values[first] == _NONE
    values[first[new]] = second[new]
    if (values[first] != second).any():
        return None
    mixed = second[np.random.default_rng(_SEED).permutation(len(second))]
    order = np.argsort(first, kind="stable")
    again = np.diff(first[order], prepend=_NONE) == 0
    differing = np.diff(mixed[order], prepend=_NONE) != 0
    return _Pair(values, pair.rows + len(first), pair.shuffled + int((again & differing).sum()))
