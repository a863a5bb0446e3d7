"""What the parts of a table told of a profile, added up, judged by its allowances, and worded."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.detectors.data.suites import (
    FIRST,
    RULE,
    Counted,
    Expected,
    allowed,
    expected_of,
    merged,
)
from tasks.domain.measurement import Observation
from tasks.domain.reference import ReferenceProfile
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Array, Reply

MUCH = 0.2
"""Share of rows from which on a broken expectation is of high severity."""


class Judged(NamedTuple):
    """One expectation on one table: what was counted, and what chance and tolerances allow."""

    expected: Expected
    counted: Counted
    allowed: int

    @property
    def broken(self) -> bool:
        """Whether more rows break it than may."""
        return self.counted.broken > self.allowed


class Held(NamedTuple):
    """What one table told."""

    role: str
    rows: int
    others: tuple[str, ...]
    judged: tuple[Judged, ...]
    problem: str = ""


def held_table(role: str, replies: Sequence[Reply], profile: ReferenceProfile) -> Held:
    """Adds the parts of one table up, in their order."""
    if problem := next((str(r.values["problem"]) for r in replies if r.values["problem"]), ""):
        return Held(role, 0, (), (), problem)
    suite = expected_of(profile)
    rows = sum(int(reply.values["rows"]) for reply in replies)
    counted = list(merged([[_counted(told) for told in r.values["results"]] for r in replies]))
    unique = [at for at, one in enumerate(suite) if one.kind == "unique"]
    for number, at in enumerate(unique):
        counted[at] = _repeated(replies, number, counted[at])
    others = sorted({str(name) for reply in replies for name in reply.values["others"]})
    return Held(
        role,
        rows,
        tuple(others),
        tuple(
            Judged(one, told, allowed(one, rows, profile, len(suite)))
            for one, told in zip(suite, counted, strict=True)
        ),
    )


def _counted(told: dict[str, Any]) -> Counted:
    return Counted(
        int(told["broken"]),
        tuple(int(row) for row in told["rows"]),
        tuple(str(value) for value in told["values"]),
        str(told["error"]),
    )


def _repeated(replies: Sequence[Reply], number: int, told: Counted) -> Counted:
    """Counts rows whose value occurs in any other row, of the same part or not."""
    marks, known = (_joined(replies, f"{name}.{number}") for name in ("marks", "known"))
    if marks is None or known is None:
        return told
    rows = np.flatnonzero(known)
    _, groups, times = np.unique(marks[rows], return_inverse=True, return_counts=True)
    again = rows[times[groups] > 1]
    return told._replace(
        broken=len(again), rows=tuple(int(row) for row in again[:FIRST]), values=()
    )


def _joined(replies: Sequence[Reply], name: str) -> Array | None:
    parts = [reply.arrays[name] for reply in replies if name in reply.arrays]
    return np.concatenate(parts) if parts else None


def observations(table: Held) -> Iterator[Observation]:
    """Yields what is broken, and below that what chance explains, expectation by expectation."""
    if table.problem:
        yield Observation(
            rule=f"{RULE}.unreadable",
            severity=Severity.MEDIUM,
            detail=table.problem,
            location=table.role,
        )
    if table.others:
        named = ", ".join(table.others[:FIRST])
        yield Observation(
            rule=f"{RULE}.other_columns",
            severity=Severity.MEDIUM,
            detail=f"{len(table.others)} columns are not in the trusted version: {named}",
            location=table.role,
        )
    gone = {one.expected.place for one in table.judged if one.broken and _is_column(one)}
    for one in table.judged:
        if one.counted.error:
            why = f"the expectation could not be checked: {one.counted.error[:200]}"
            yield _seen(one, table, Severity.HIGH, why)
        elif one.broken and (_is_column(one) or one.expected.place not in gone):
            yield _seen(one, table, _severity(one, table.rows), _said(one, table.rows))
        elif one.counted.broken and one.expected.allowance == "unseen":
            yield _seen(one, table, Severity.LOW, _said(one, table.rows))


def _is_column(one: Judged) -> bool:
    return one.expected.kind == "column"


def _seen(one: Judged, table: Held, severity: Severity, detail: str) -> Observation:
    place = f"{table.role}: {one.expected.place}"
    return Observation(rule=one.expected.rule, severity=severity, detail=detail, location=place)


def _severity(one: Judged, rows: int) -> Severity:
    return Severity.HIGH if one.counted.broken >= MUCH * rows else one.expected.severity


def _said(one: Judged, rows: int) -> str:
    if _is_column(one):
        return one.expected.says
    seen, basis = one.expected.basis
    told = f"{one.expected.says} in {one.counted.broken} of {rows} rows"
    if one.expected.allowance != "none":
        told += f" (in {seen} of {basis} trusted ones; up to {one.allowed} are allowed for)"
    if one.counted.rows:
        told += f"; first rows {', '.join(map(str, one.counted.rows))}"
    if one.counted.values and one.expected.kind in {"lowest", "highest", "far", "names", "order"}:
        told += f"; values {', '.join(one.counted.values)}"
    return told


def as_json(table: Held) -> dict[str, Any]:
    """Returns every expectation and what was counted, as JSON values."""
    return {
        "role": table.role,
        "rows": table.rows,
        "expectations": [
            {
                "kind": one.expected.kind,
                "columns": list(one.expected.columns),
                "expectation": one.expected.expectation,
                "broken": one.counted.broken,
                "allowed": one.allowed,
                "first_rows": list(one.counted.rows),
                "values": list(one.counted.values),
            }
            for one in table.judged
        ],
    }
