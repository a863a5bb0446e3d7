"""Runs in the sandbox child: the files of a trusted table to what its profile says, in one pass.

Memory does not grow with the rows, but for eight bytes a row of columns that may be identifiers.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.drift.layouts import FEW, code_name
from tasks.intake.decoding import Undecodable
from tasks.intake.names import shown
from tasks.intake.relations import MOST_NAMES, Dependencies, Orders
from tasks.intake.table_batches import Batch, Coded, Values, coded, read_batches
from tasks.sandbox.protocol import Reply
from tasks.statistics.intervals import Floats

ROWS_A_NAME = 10
"""With fewer rows a name on average, a column of texts has no vocabulary."""
LEAST_UNIQUE = 1000


def profile_table(*, paths: list[str]) -> Reply:
    """Reads files of one table, one after the other, and returns what a profile is made of.

    Returns:
        ``values``: ``rows``, ``columns``, ``orders`` and ``dependencies`` as dicts of
        :mod:`tasks.domain.reference`, ``notes``; ``problem`` says why there is nothing else.
    """
    notes: list[str] = []
    profiler = Profiler()
    try:
        for path in paths:
            for batch in read_batches(Path(path), notes):
                profiler.add(batch)
        told = profiler.told()
    except Undecodable as reason:
        return Reply({}, {"problem": str(reason)})
    except Exception as error:  # noqa: BLE001 - parsers of hostile files raise anything
        return Reply({}, {"problem": f"{type(error).__name__}: {shown(str(error).strip())}"})
    return Reply({}, {"problem": "", "notes": notes, **told})


class Profiler:
    """Adds batches up. Every batch has the columns of the first."""

    def __init__(self) -> None:
        self._rows = 0
        self._columns: dict[str, _Column] = {}
        self._orders = Orders([])
        self._dependencies = Dependencies([])

    def add(self, batch: Batch) -> None:
        """Counts a batch. Raises :class:`Undecodable` when its columns are others."""
        named = {name: names_of(values) for name, values in batch.items()}
        if not self._columns:
            self._columns = {name: _Column(name) for name in batch}
            self._orders = Orders([n for n, v in batch.items() if not isinstance(v, Coded)])
            self._dependencies = Dependencies([name for name, found in named.items() if found])
        if set(batch) != set(self._columns):
            odd = sorted(set(batch) ^ set(self._columns))
            raise Undecodable(f"its parts have different columns: {', '.join(odd[:5])}")
        for name, column in self._columns.items():
            column.add(batch[name], named[name])
        self._rows += len(known_of(next(iter(batch.values()))))
        self._orders.add({name: _numbers(values) for name, values in batch.items()})
        self._dependencies.add(named)

    def told(self) -> dict[str, Any]:
        """Returns the profile as JSON values."""
        if not self._rows:
            raise Undecodable("it has no rows")
        columns = [column.told(self._rows) for column in self._columns.values()]
        named = {one["name"] for one in columns if one["names"]}
        numbers = {one["name"] for one in columns if one["low"] is not None}
        return {
            "rows": self._rows,
            "columns": columns,
            "orders": [o for o in self._orders.told() if {o["lower"], o["upper"]} <= numbers],
            "dependencies": [
                one
                for one in self._dependencies.told()
                if {one["column"], one["determines"]} <= named
            ],
        }


class _Column:
    """Counts of one column."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._missing = 0
        self._text = self._fraction = False
        self._low, self._high = np.inf, -np.inf
        self._names: dict[str, int] | None = {}
        self._marks: list[NDArray[np.uint64]] | None = []

    def add(self, values: Values, named: Coded | None) -> None:
        """Counts the values of a batch; ``named`` are the same as names, where they are few."""
        known = known_of(values)
        self._missing += int((~known).sum())
        if isinstance(values, Coded):
            self._text |= bool(known.any())
        else:
            self._add_numbers(values[known & np.isfinite(values)])
        self._add_names(named, MOST_NAMES if isinstance(values, Coded) else FEW)
        if self._marks is not None:
            marks = marks_of(values)[known]
            # A batch that repeats itself is enough to know that the column identifies nothing.
            repeats = len(np.unique(marks)) < len(marks)
            self._marks = None if repeats else [*self._marks, marks]

    def _add_numbers(self, numbers: Floats) -> None:
        if len(numbers):
            self._low = min(self._low, float(numbers.min()))
            self._high = max(self._high, float(numbers.max()))
            self._fraction |= bool((numbers != np.floor(numbers)).any())

    def _add_names(self, named: Coded | None, most: int) -> None:
        if named is None or self._names is None:
            self._names = None
            return
        counts = np.bincount(named.codes[named.codes >= 0], minlength=len(named.names))
        for name, count in zip(named.names, counts.tolist(), strict=True):
            if count:
                self._names[name] = self._names.get(name, 0) + count
        if len(self._names) > most:
            self._names = None

    def told(self, rows: int) -> dict[str, Any]:
        """Returns the column as JSON values."""
        known = rows - self._missing
        kind = "text" if self._text else "number" if self._fraction else "whole"
        numbers = not self._text and np.isfinite(self._low)
        names = self._names or {}
        if len(names) > known / ROWS_A_NAME:
            names = {}
        unique = kind != "number" and known >= LEAST_UNIQUE and self._is_unique()
        # Numbers that never repeat are names, and the next version has the next ones.
        numbers = numbers and not unique
        return {
            "name": self._name,
            "kind": kind,
            "missing": self._missing,
            "low": self._low if numbers else None,
            "high": self._high if numbers else None,
            "names": sorted(names) or None,
            "once": sum(count == 1 for count in names.values()),
            "rarest": min(names.values(), default=0),
            "unique": unique,
        }

    def _is_unique(self) -> bool:
        if self._marks is None:
            return False
        together = np.concatenate([*self._marks, np.zeros(0, dtype=np.uint64)])
        return len(np.unique(together)) == len(together)


def marks_of(values: Values) -> NDArray[np.uint64]:
    """Returns 64 bits for each value (rows,); equal values have equal marks."""
    if not isinstance(values, Coded):
        return (values + 0.0).view(np.uint64)
    marks = [
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
        for name in values.names
    ]
    return np.array([*marks, 0], dtype=np.uint64)[values.codes]


def known_of(values: Values) -> NDArray[np.bool_]:
    """Answers for each row whether there is a value."""
    return values.codes >= 0 if isinstance(values, Coded) else ~np.isnan(values)


def _numbers(values: Values) -> Floats:
    return np.full(len(values.codes), np.nan) if isinstance(values, Coded) else values


def names_of(values: Values) -> Coded | None:
    """Returns a column as names, if it has few: texts, or whole numbers of at most 20 values."""
    if isinstance(values, Coded):
        return values if len(values.names) <= MOST_NAMES else None
    known = values[~np.isnan(values)]
    if not np.isfinite(known).all() or (known != np.floor(known)).any():
        return None
    return coded(values, code_name) if len(np.unique(known)) <= FEW else None
