"""From a profile of a trusted table to expectations, and from counts to what is broken.

What is asked of each row is a GX expectation; how many rows may break it is decided here, once all
parts of a table have been counted.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from tasks.domain.reference import ColumnProfile, ReferenceProfile
from tasks.domain.severity import Severity
from tasks.statistics.exceptions import most_expected, most_unseen

RULE = "data.expectations"
Allowance = Literal["none", "unseen", "missing", "names"]
FIRST = 5
"""Offending rows that are named for each expectation."""


class Expected(NamedTuple):
    """One expectation.

    ``columns`` are the table's own; ``settings`` name those of the frame that is looked at.
    """

    kind: str
    columns: tuple[str, ...]
    expectation: str
    settings: dict[str, Any]
    allowance: Allowance
    says: str
    severity: Severity = Severity.MEDIUM
    basis: tuple[int, int] = (0, 1)
    """Rows of the reference that break it, and rows that could."""

    @property
    def rule(self) -> str:
        """What an observation calls it."""
        return f"{RULE}.{self.kind}"

    @property
    def place(self) -> str:
        """Which columns it is about."""
        return " and ".join(self.columns)


class Counted(NamedTuple):
    """What the parts of a table told of one expectation."""

    broken: int
    rows: tuple[int, ...] = ()
    values: tuple[str, ...] = ()
    error: str = ""


def kind_of(column: str) -> str:
    """Returns the name of the frame's column that says what each value is."""
    # No column of a table is called so: names are printable ASCII when they come from a file.
    return f"⟨kind⟩ {column}"


def name_of(column: str) -> str:
    """Returns the name of the frame's column that holds values as names."""
    return f"⟨name⟩ {column}"


def fixed_by(column: str, other: str) -> str:
    """Returns the name of the frame's column that says whether one value follows from another."""
    return f"⟨fixed⟩ {column} → {other}"


def expected_of(profile: ReferenceProfile) -> tuple[Expected, ...]:
    """Returns the expectations in the profile's order: columns first, then relations."""
    found = [one for column in profile.columns for one in _of_column(column, profile)]
    found += [
        Expected(
            "order", (one.lower, one.upper), "not_above",
            {"column_A": one.upper, "column_B": one.lower}, "unseen",
            f"{one.lower} is above {one.upper}", basis=(0, one.rows),
        )
        for one in profile.orders
    ]  # fmt: skip
    found += [
        Expected(
            "dependency", (one.column, one.determines), "in_set",
            {"column": fixed_by(one.column, one.determines), "value_set": ["kept"]}, "unseen",
            f"{one.determines} is not what {one.column} fixes", basis=(0, one.rows),
        )
        for one in profile.dependencies
    ]  # fmt: skip
    return tuple(found)


def allowed(expected: Expected, rows: int, profile: ReferenceProfile, among: int) -> int:
    """Returns how many rows may break an expectation.

    Args:
        expected: Which.
        rows: Rows of the table.
        profile: Its reference, with the tolerances.
        among: How many expectations share the chance of a false alarm.
    """
    alpha = profile.tolerances.alpha / max(1, among)
    seen, reference = expected.basis
    if expected.allowance == "unseen":
        return most_unseen(reference, rows, alpha=alpha)
    if expected.allowance == "names":
        return most_expected(seen, reference, rows, alpha=alpha)
    if expected.allowance == "missing":
        slack = profile.tolerances.missing
        return most_expected(seen, reference, rows, alpha=alpha, slack=slack)
    return 0


def merged(parts: Sequence[Sequence[Counted]]) -> tuple[Counted, ...]:
    """Adds up what the parts of a table told, in the order of the parts."""
    return tuple(_sum(one) for one in zip(*parts, strict=True))


def _sum(parts: Sequence[Counted]) -> Counted:
    return Counted(
        sum(part.broken for part in parts),
        tuple(row for part in parts for row in part.rows)[:FIRST],
        tuple(value for part in parts for value in part.values)[:FIRST],
        next((part.error for part in parts if part.error), ""),
    )


def _of_column(column: ColumnProfile, profile: ReferenceProfile) -> Iterator[Expected]:
    name, rows = (column.name,), profile.rows
    known = rows - column.missing
    yield Expected(
        "column", name, "exists", {"column": column.name}, "none",
        "the column is not there", Severity.HIGH,
    )  # fmt: skip
    if known < 1:
        return
    if column.kind != "text":
        kinds = ["whole"] if column.kind == "whole" else ["whole", "number"]
        yield Expected(
            "type", name, "in_set", {"column": kind_of(column.name), "value_set": kinds}, "unseen",
            f"the value is no {'whole ' if column.kind == 'whole' else ''}number", basis=(0, known),
        )  # fmt: skip
    if column.missing < rows:
        yield Expected(
            "missing", name, "not_null", {"column": kind_of(column.name)}, "missing",
            "the value is missing", basis=(column.missing, rows),
        )  # fmt: skip
    yield from _of_range(column, known, profile.tolerances.far)
    yield from _of_values(column, known)


def _of_range(column: ColumnProfile, known: int, far: float) -> Iterator[Expected]:
    """Each end by itself, so that the allowance is exact; and how far a single value may lie."""
    if column.low is None or column.high is None:
        return
    name, basis = (column.name,), (0, known)
    yield Expected(
        "lowest", name, "between", {"column": column.name, "min_value": column.low}, "unseen",
        f"the value is below {column.low:g}", basis=basis,
    )  # fmt: skip
    yield Expected(
        "highest", name, "between", {"column": column.name, "max_value": column.high}, "unseen",
        f"the value is above {column.high:g}", basis=basis,
    )  # fmt: skip
    reach = far * max(column.high - column.low, abs(column.low), abs(column.high))
    if reach > 0:
        low, high = column.low - reach, column.high + reach
        yield Expected(
            "far", name, "between", {"column": column.name, "min_value": low, "max_value": high},
            "none", f"the value is beyond {low:g} to {high:g}, {far:g} times the reference's width",
        )  # fmt: skip


def _of_values(column: ColumnProfile, known: int) -> Iterator[Expected]:
    name = (column.name,)
    if column.names is not None:
        yield Expected(
            "names", name, "in_set",
            {"column": name_of(column.name), "value_set": list(column.names)},
            "unseen" if column.closed else "names",
            f"the value is none of the {len(column.names)} known ones",
            basis=(0 if column.closed else column.once, known),
        )  # fmt: skip
    if column.unique:
        yield Expected(
            "unique", name, "unique", {"column": column.name}, "none",
            "the value occurs more than once",
        )  # fmt: skip
