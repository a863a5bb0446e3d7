"""What the questions about single columns share: features and outputs are asked the same way."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.checks.drift.pair import Pair, keep_json, pair
from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.drift.features import Shift, compare, largest
from tasks.detectors.drift.planted import split, with_shift
from tasks.detectors.drift.sketch import HASHED, Role, Sketch
from tasks.domain.measurement import Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.statistics.intervals import binomial

ALPHA = 0.05
ENOUGH = 0.8
"""Part of the columns in which the planted shift must be found."""
PLANTED = 2.0
"""Size of the planted shift, in tolerances."""
PICTURED, BARS = 6, 24
METHOD = (
    "Counts in fixed cells; Kolmogorov distance (numbers) and total variation (categories) with "
    "intervals at 95 % over all columns; Kolmogorov-Smirnov and chi-square with Holm at 5 %; "
    "stability index with its chi-square p-value."
)


def measure_columns(
    lab: Lab, check: str, version: int, roles: Sequence[Role], limits: tuple[str, ...]
) -> Measurement:
    """Compares the columns of these roles.

    Raises:
        NotAvailable: There are no two tables, or no such column.
    """
    return measure_pair(lab, pair(lab), check=check, version=version, roles=roles, limits=limits)


def measure_pair(
    lab: Lab,
    both: Pair,
    *,
    check: str,
    version: int,
    roles: Sequence[Role],
    limits: tuple[str, ...],
) -> Measurement:
    """Does the same for two tables that are counted already."""
    tolerance = lab.number("settle_at")
    shifts = compare(both.reference, both.current, *roles, alpha=ALPHA)
    if not shifts:
        raise NotAvailable(f"no column is a {' or '.join(roles)}; name it with --predictions")
    controls = _controls(both, roles, tolerance, lab.seed)
    beyond = [shift for shift in shifts if shift.distance.low > tolerance]
    return Measurement(
        check=check,
        version=version,
        status=Status.MEASURED,
        detail=_detail(shifts, beyond, tolerance),
        estimates={"largest_shift": largest(shifts)},
        observations=_observations(both.current, shifts, tolerance),
        controls=controls,
        limits=limits,
        method=METHOD,
        facts={
            "reference_rows": both.reference.rows,
            "current_rows": both.current.rows,
            "columns": len(shifts),
            "different": sum(shift.significant for shift in shifts),
            "beyond_tolerance": len(beyond),
            "heaviest_cell": round(max(shift.resolution for shift in shifts), 6),
        },
        artifacts=(
            keep_json(lab, "shifts.json", "Every column, the largest shift first", _table(shifts)),
            keep_json(
                lab,
                "distributions.json",
                "The columns that moved most: bars are the reference, the line is now",
                [_pictured(both, shift, tolerance) for shift in shifts[:PICTURED]],
            ),
        ),
    )


def _controls(
    both: Pair, roles: Sequence[Role], tolerance: float, seed: int
) -> tuple[Control, ...]:
    rows = min(both.current.rows, both.reference.rows // 2)
    rest, drawn = split(both.reference, rows, seed=seed)
    share = min(0.9, PLANTED * tolerance)
    shifted = with_shift(drawn, share, seed=seed)
    clean = compare(rest, drawn, *roles, alpha=ALPHA)
    planted = compare(rest, shifted, *roles, alpha=ALPHA)
    found = sum(shift.distance.low > tolerance for shift in planted)
    accused = sum(shift.distance.low > tolerance for shift in clean)
    return (
        Control(
            name="planted shift",
            planted=True,
            found=found >= ENOUGH * len(planted),
            estimate=binomial(found, len(planted)),
            detail=f"{share:.0%} of {rows} reference rows moved in each column; found in {found} "
            f"of {len(planted)} columns",
        ),
        Control(
            name="two halves of the reference",
            planted=False,
            found=accused > 0,
            estimate=binomial(accused, len(clean)),
            detail=f"{rows} reference rows against the other {rest.rows}; {accused} columns were "
            "called shifted",
        ),
    )


def _detail(shifts: tuple[Shift, ...], beyond: list[Shift], tolerance: float) -> str:
    top, different = shifts[0], sum(shift.significant for shift in shifts)
    if not beyond:
        said = f"No column moved by more than {tolerance:g} for certain"
    else:
        named = ", ".join(shift.name for shift in beyond[:5])
        more = f" and {len(beyond) - 5} more" if len(beyond) > 5 else ""
        said = f"{len(beyond)} of {len(shifts)} columns moved beyond {tolerance:g}: {named}{more}"
    return f"{said}; {different} differ at all; the largest shift is {top.name}."


def _observations(
    current: Sketch, shifts: tuple[Shift, ...], tolerance: float
) -> tuple[Observation, ...]:
    noted = [
        Observation(rule="drift.columns", severity=Severity.MEDIUM, detail=note)
        for note in current.notes
    ]
    for shift in shifts:
        if not shift.significant:
            continue
        beyond = shift.distance.low > tolerance
        noted.append(
            Observation(
                rule="drift.shifted" if beyond else "drift.different",
                severity=Severity.HIGH if beyond else Severity.INFO,
                detail=f"{shift.test}: distance {shift.distance.value:.3g} (at least "
                f"{shift.distance.low:.3g}), p = {shift.p_value:.2g}, stability index "
                f"{shift.stability:.3g}",
                location=shift.name,
            )
        )
    return tuple(noted)


def _table(shifts: tuple[Shift, ...]) -> list[dict[str, Any]]:
    return [
        {
            "column": shift.name,
            "kind": shift.kind,
            "role": shift.role,
            "test": shift.test,
            "distance": shift.distance.value,
            "low": shift.distance.low,
            "high": shift.distance.high,
            "p_value": shift.p_value,
            "different": shift.significant,
            "stability_index": shift.stability,
            "stability_p_value": shift.stability_p_value,
            "missing": list(shift.missing),
        }
        for shift in shifts
    ]


def _pictured(both: Pair, shift: Shift, tolerance: float) -> dict[str, Any]:
    """Returns shares of both tables in a few cells of one column, for a picture."""
    at = both.reference.column(shift.name)
    assert at is not None, "a column that was compared is there"
    column = both.reference.layout.columns[at]
    one, two = (sketch.counts[at] for sketch in both)
    if column.kind == "number":
        names, groups = _bars(both.reference.layout.edges[at], one[:-1])
    else:
        named = len(column.categories)
        order = np.argsort(-(one[:named] + two[:named]), kind="stable")[: BARS - 2]
        names = [*(column.categories[place] for place in order), "other"]
        groups = np.full(named + HASHED, len(order))
        groups[order] = np.arange(len(order))
    shares = [_shares(counts, groups, len(names)) for counts in (one, two)]
    return {
        "column": shift.name,
        "kind": column.kind,
        "cells": [*names, "missing"],
        "reference": shares[0],
        "current": shares[1],
        "distance": shift.distance.value,
        "beyond": shift.distance.low > tolerance,
    }


def _shares(counts: Any, groups: Any, bars: int) -> list[float]:
    """Returns the share of rows in each bar, and of those without a value."""
    known = np.bincount(groups, counts[:-1], bars)
    shares: list[float] = (np.append(known, counts[-1]) / max(1, counts.sum())).round(6).tolist()
    return shares


def _bars(edges: Any, counts: Any) -> tuple[list[str], Any]:
    """Groups the cells of a column of numbers into about equally heavy bars."""
    share = np.cumsum(counts) / max(1, counts.sum())
    groups = np.minimum((share * (BARS - 1) - 1e-9).astype(np.int64), BARS - 2)
    _, groups = np.unique(groups, return_inverse=True)
    last = [int(np.flatnonzero(groups == group)[-1]) for group in range(int(groups.max()) + 1)]
    names = [f"≤ {edges[at]:.4g}" if at < len(edges) else "above" for at in last]
    return names, groups
