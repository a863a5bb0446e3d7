"""From a declared table to arithmetic: which rows are possible, and how far apart two are.

Used twice: in the child by the attacks, and outside by the caller that measures them again.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.domain.table import Column, Relation, Table

Rows = NDArray[np.float64]
"""(n, columns), raw values."""
Flags = NDArray[np.bool_]
TOLERANCE = 1e-4
"""Rounding that a value or relation may show, as a share of its column's or its own size."""


class Allowed(NamedTuple):
    """How much of a row may be changed."""

    epsilon: float
    """Largest change of a number, as a share of its column's range."""
    categories: int
    """Most categories that may become another."""


class Rules:
    """The arithmetic of one table.

    Args:
        table: The declaration.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        columns = table.columns
        self.place = {column.name: at for at, column in enumerate(columns)}
        self.mutable = np.array([not column.immutable for column in columns])
        self.number = np.array([column.kind == "number" for column in columns])
        self.low = np.array([_low(column) for column in columns])
        self.high = np.array([_high(column) for column in columns])
        self.step = np.array([column.step or 0.0 for column in columns])
        self.width = self.high - self.low
        self.categories = [
            (at, np.array(column.choices))
            for at, column in enumerate(columns)
            if column.kind == "category"
        ]
        groups: dict[str, list[int]] = {}
        for at, column in enumerate(columns):
            if column.group is not None:
                groups.setdefault(column.group, []).append(at)
        self.groups = [np.array(group) for group in groups.values()]
        self.solved = [relation for relation in table.relations if relation.solve_for]

    def possible(self, rows: Rows) -> Flags:
        """Answers which rows could exist: ranges, steps, choices, groups and relations hold."""
        slack = TOLERANCE * self.width
        inside = (rows >= self.low - slack) & (rows <= self.high + slack)
        possible: Flags = inside.all(axis=1) & np.isfinite(rows).all(axis=1)
        possible &= self.on_steps(rows).all(axis=1)
        for at, choices in self.categories:
            possible &= np.isclose(rows[:, at, None], choices, atol=TOLERANCE).any(axis=1)
        for group in self.groups:
            ones = np.isclose(rows[:, group], 1, atol=TOLERANCE)
            zeros = np.isclose(rows[:, group], 0, atol=TOLERANCE)
            possible &= (ones | zeros).all(axis=1) & (ones.sum(axis=1) == 1)
        return possible & (self.broken_by(rows) <= 0).all(axis=1)

    def on_steps(self, rows: Rows) -> Flags:
        """Answers which values lie on their column's steps (n, columns)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            steps = (rows - self.low) / self.step
            near = np.abs(steps - np.round(steps)) * self.step <= TOLERANCE * self.width
        return np.where(self.step > 0, near, True)

    def broken_by(self, rows: Rows) -> Rows:
        """Returns by how much each relation is broken (n, relations); 0 or less is kept."""
        if not self.table.relations:
            return np.zeros((len(rows), 0))
        return np.stack([self._broken(rows, one) for one in self.table.relations], axis=1)

    def reachable(self, moved: Rows, clean: Rows, allowed: Allowed) -> Flags:
        """Answers which rows may be made of which clean ones: fixed columns and budget hold."""
        slack = TOLERANCE * self.width
        change = np.abs(moved - clean)
        kept = (change <= slack) | self.mutable
        near = (change <= allowed.epsilon * self.width + slack) | ~self.number
        few = self.changed_categories(moved, clean).sum(axis=1) <= allowed.categories
        reachable: Flags = kept.all(axis=1) & near.all(axis=1) & few
        return reachable

    def changed_categories(self, moved: Rows, clean: Rows) -> Flags:
        """Answers which categories differ (n, single ones then groups)."""
        places = [*(np.array([at]) for at, _ in self.categories), *self.groups]
        differs = np.abs(moved - clean) > TOLERANCE
        changed = [differs[:, place].any(axis=1) for place in places]
        return np.stack(changed, axis=1) if changed else np.zeros((len(moved), 0), bool)

    def _broken(self, rows: Rows, relation: Relation) -> NDArray[np.float64]:
        left = sum(weight * rows[:, self.place[name]] for name, weight in relation.terms.items())
        right = self._right(rows, relation)
        excess = left - right
        size = TOLERANCE * (1 + np.abs(left) + np.abs(right))
        if relation.compare == "==":
            return np.asarray(np.abs(excess) - size)
        return np.asarray((excess if relation.compare == "<=" else -excess) - size)

    def _right(self, rows: Rows, relation: Relation) -> NDArray[np.float64]:
        if relation.product is None:
            return np.full(len(rows), relation.bound)
        one, other = (rows[:, self.place[name]] for name in relation.product)
        return np.asarray(relation.factor * one * other + relation.bound)

    def follow(self, rows: Rows) -> Rows:
        """Returns rows whose dependent columns follow from the others, in the declared order."""
        followed = rows.copy()
        for relation in self.solved:
            assert relation.solve_for is not None
            at = self.place[relation.solve_for]
            weight = relation.terms[relation.solve_for]
            rest = sum(
                each * followed[:, self.place[name]]
                for name, each in relation.terms.items()
                if name != relation.solve_for
            )
            followed[:, at] = (self._right(followed, relation) - rest) / weight
        return followed

    def pulled_back(self, rows: Rows, slope: Rows) -> Rows:
        """Returns the slope in the free columns: what follows from them is charged to them."""
        free = slope.copy()
        for relation in reversed(self.solved):
            assert relation.solve_for is not None
            at = self.place[relation.solve_for]
            passed_on = free[:, at] / relation.terms[relation.solve_for]
            free[:, at] = 0
            for name, each in relation.terms.items():
                if name != relation.solve_for:
                    free[:, self.place[name]] -= each * passed_on
            if relation.product:
                one, other = (self.place[name] for name in relation.product)
                free[:, one] += relation.factor * rows[:, other] * passed_on
                free[:, other] += relation.factor * rows[:, one] * passed_on
        return free


def inferred(rows: Rows) -> Table:
    """Returns a table for rows nobody described: ranges as seen, whole numbers where all are."""
    columns = []
    for at, values in enumerate(rows.T):
        low, high = float(values.min()), float(values.max())
        whole = bool((values == np.round(values)).all())
        if high - low < TOLERANCE:
            column = Column(name=f"c{at}", low=low - 0.5, high=low + 0.5, immutable=True)
        else:
            column = Column(name=f"c{at}", low=low, high=high, step=1.0 if whole else None)
        columns.append(column)
    return Table(columns=tuple(columns))


def _low(column: Column) -> float:
    return {"number": column.low, "one_hot": 0.0}.get(column.kind, min(column.choices, default=0.0))


def _high(column: Column) -> float:
    return {"number": column.high, "one_hot": 1.0}.get(
        column.kind, max(column.choices, default=1.0)
    )
