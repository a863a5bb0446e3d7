"""Controls of a profile: a table that keeps every promise, and one spoilt table for each kind.

Made from the profile alone, so that no row of the data under test decides what is innocent.
"""

from typing import Any

import numpy as np

from tasks.detectors.data.suites import Expected, expected_of
from tasks.detectors.drift.layouts import code_name
from tasks.domain.reference import ColumnProfile, ReferenceProfile
from tasks.intake.frames import frame_of
from tasks.intake.holding import results_of
from tasks.intake.table_batches import Batch, Coded, Values
from tasks.sandbox.protocol import Reply

ROWS = 400
UNKNOWN = "a value that nobody knows"
SPOILT = ("missing", "type", "lowest", "highest", "far", "names", "unique")
RELATIONS = ("order", "dependency")
MOST_SPOILT = 10
"""Relations that are spoilt, each in a table of its own: there may be hundreds."""


def hold_controls(*, profile: dict[str, Any]) -> Reply:
    """Holds a table that keeps a profile against it, and then one spoilt table for each kind.

    Returns:
        ``values``: ``rows``; ``clean`` (rows that break each expectation, by its place, in the
        innocent table); ``planted`` (the same, each in the table that is spoilt for its kind).
        Relations that the innocent table cannot keep are in neither.
    """
    promised = ReferenceProfile.model_validate(profile)
    suite = expected_of(promised)
    clean = innocent(promised)
    kept = {at: one for at, one in enumerate(suite) if not _contradicts(one, clean, promised)}
    planted: dict[int, int] = {}
    for kind in SPOILT:
        wanted = {at: one for at, one in kept.items() if one.kind == kind}
        if wanted:
            planted |= _broken(spoilt(clean, kind, promised), wanted, promised)
    related = [(at, one) for at, one in kept.items() if one.kind in RELATIONS]
    for at, one in related[:MOST_SPOILT]:
        planted |= _broken(unrelated(clean, one, promised), {at: one}, promised)
    told = {"clean": _broken(clean, kept, promised), "planted": planted}
    return Reply(
        {}, {"rows": ROWS} | {n: {str(k): v for k, v in d.items()} for n, d in told.items()}
    )


def innocent(profile: ReferenceProfile) -> Batch:
    """Returns rows of which every other lies at the low and at the high end of each range.

    What is never above something in any row has neither its lowest nor its highest value above.
    """
    batch: Batch = {}
    for column in profile.columns:
        if column.missing == profile.rows:
            batch[column.name] = np.full(ROWS, np.nan)
        elif column.names is not None:
            batch[column.name] = _named(column, _chosen(column, batch, profile))
        elif column.kind == "text":
            batch[column.name] = Coded(np.arange(ROWS), [f"text {at}" for at in range(ROWS)])
        else:
            batch[column.name] = _numbers(column)
    return batch


def spoilt(batch: Batch, kind: str, profile: ReferenceProfile) -> Batch:
    """Returns the table with every row spoilt in one way."""
    return batch | {
        column.name: values
        for column in profile.columns
        if (values := _spoilt(batch[column.name], column, kind, profile)) is not None
    }


def unrelated(batch: Batch, one: Expected, profile: ReferenceProfile) -> Batch:
    """Returns the table with every row spoilt for one relation."""
    first, second = one.columns
    if one.kind == "order":
        return batch | {first: np.full(ROWS, 1e18)}
    column = profile.column(second)
    assert column is not None, "relations are between columns of the profile"
    known = sorted(set(_dependency(one, profile).values()))
    right = [_name(batch[second], row) for row in (0, 1)]
    wrong = [next((name for name in known if name != given), given) for given in right]
    return batch | {second: _named(column, wrong)}


def _broken(batch: Batch, wanted: dict[int, Expected], profile: ReferenceProfile) -> dict[int, int]:
    frame = frame_of(batch, profile, offset=0)
    told = results_of(frame, tuple(wanted.values()), ROWS)
    return {at: int(told[place]["broken"]) for place, at in enumerate(wanted) if place in told}


def _contradicts(one: Expected, batch: Batch, profile: ReferenceProfile) -> bool:
    """Answers whether the innocent table breaks a relation because others fix its values."""
    if one.kind not in {"order", "dependency"}:
        return False
    first, second = (batch[name] for name in one.columns)
    if one.kind == "order":
        return isinstance(first, Coded) or isinstance(second, Coded) or bool((first > second).any())
    fixed = _dependency(one, profile)
    names = [(_name(first, row), _name(second, row)) for row in (0, 1)]
    return any(fixed.get(a) not in {b, None} for a, b in names) or not any(
        a in fixed for a, _ in names
    )


def _dependency(one: Expected, profile: ReferenceProfile) -> dict[str, str]:
    found = (d for d in profile.dependencies if (d.column, d.determines) == one.columns)
    return next(found).fixes


def _chosen(column: ColumnProfile, batch: Batch, profile: ReferenceProfile) -> list[str]:
    """Returns the names of even and odd rows: what columns before it fix, else the ends."""
    names = column.names or ("",)
    ends = [names[0], names[-1]]
    if column.low is not None and column.high is not None:
        ends = [code_name(column.low), code_name(column.high)]
    for one in profile.dependencies:
        if one.determines == column.name and one.column in batch:
            before = [_name(batch[one.column], row) for row in (0, 1)]
            return [one.fixes.get(name, end) for name, end in zip(before, ends, strict=True)]
    return ends


def _named(column: ColumnProfile, chosen: list[str]) -> Values:
    every_other = np.arange(ROWS) % 2
    if column.kind == "text":
        return Coded(every_other, chosen)
    numbers: Values = np.array([float(name) for name in chosen])[every_other]
    return numbers


def _numbers(column: ColumnProfile) -> Values:
    low, high = column.low or 0.0, column.high or 0.0
    if column.unique:
        return np.arange(float(ROWS))
    return np.array([low, high])[np.arange(ROWS) % 2]


def _name(values: Values, row: int) -> str:
    if isinstance(values, Coded):
        return str(values.names[values.codes[row]])
    return code_name(float(values[row]))


def _spoilt(
    values: Values, column: ColumnProfile, kind: str, profile: ReferenceProfile
) -> Values | None:
    if kind in {"type", "names"}:
        return Coded(np.zeros(ROWS, dtype=np.int64), [UNKNOWN])
    if isinstance(values, Coded):
        if kind == "missing":
            return Coded(np.full(ROWS, -1), [""])
        return Coded(values.codes * 0, values.names) if kind == "unique" else None
    low, high = column.low or 0.0, column.high or 0.0
    wide = (high - low) + abs(low) + abs(high) + 1.0
    return np.full(
        ROWS,
        {
            "missing": np.nan,
            "unique": low,
            "lowest": low - wide,
            "highest": high + wide,
            "far": high + 2 * profile.tolerances.far * wide,
        }[kind],
    )
