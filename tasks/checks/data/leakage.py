"""Do rows come twice: in training and evaluation, within one of them, or with two labels?"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tasks.checks.data.twins import (
    ROLES,
    Groups,
    Near,
    Rows,
    equal_groups,
    near_numbers,
    near_texts,
    of_examples,
)
from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.statistics.intervals import binomial

CHECK, VERSION = "data.leakage", 1
ENOUGH, FEW = 0.9, 0.05
"""Share of planted twins that must be found, and of innocent rows that may be accused."""
MANY_TWICE, MANY_TORN = 0.2, 0.02
NAMED = 20
_RULE = "data.leakage"
_LIMITS = (
    "A picture that was shifted, turned or cropped is a new one here.",
    "Rows that describe the same person, place or moment in other words are not found.",
)


class Twins(NamedTuple):
    """Rows by what their twins make of them; each is an array over all rows."""

    across: Any
    """Evaluation rows with a twin in the training data."""
    twice: Any
    """Rows with an earlier twin in the same set."""
    torn: Any
    """Rows with a twin of another label."""


class Found(NamedTuple):
    """What was searched, and how."""

    rows: Rows
    near: Near | None
    sampled: bool
    limits: tuple[str, ...] = ()


def measure(lab: Lab) -> Measurement:
    """Searches for equal rows, then for near ones, with planted ones among them."""
    found = _numbers(lab) or _texts(lab)
    rows, near = found.rows, found.near
    commonplace = near is not None and near.accused > FEW * near.controls
    equal = _twins(equal_groups(rows), rows)
    close = None if near is None or commonplace else _twins(near.groups, rows)
    limits = [*_LIMITS, *found.limits]
    if commonplace:
        limits.append(
            "Rows of values drawn column by column are as near to others: twins are commonplace in "
            "this table, so near ones say nothing and equal ones little."
        )
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(equal, close, rows),
        estimates=dict(_estimates(equal, close, found)),
        observations=tuple(_observations(equal, close, rows, lab, commonplace=commonplace)),
        controls=() if close is None or near is None else _controls(near),
        limits=tuple(limits),
        method="64 bits of BLAKE2b of each row in canonical form; near twins by random hyperplanes "
        "in sorted order (numbers) or MinHash in bands (texts), each pair measured",
        facts={
            "rows": len(rows.sides),
            "searched": near.kind if near else "equal rows",
            "commonplace": commonplace,
        },
        artifacts=(
            lab.keep(
                "twins.json",
                title="Groups of rows that repeat each other: set, row and label",
                media_type="application/json",
                data=json.dumps(_named(equal, close, found), sort_keys=True).encode(),
            ),
        ),
        cost=lab.cost,
    )


def _numbers(lab: Lab) -> Found | None:
    """Reads the sets that were decoded; None when none was."""
    sets: dict[str, Examples] = {}
    missing: list[str] = []
    for role in ROLES:
        try:
            sets[role] = lab.examples(role)
        except NotAvailable as reason:
            missing.append(str(reason))
    if not sets:
        return None
    rows = of_examples(sets)
    shapes = {found.inputs.shape[1:] for found in sets.values()}
    if len(shapes) > 1:
        return Found(rows, None, False, ("Items of both sets have different shapes.",))
    inputs = np.concatenate([found.inputs for found in sets.values()])
    most = lab.count("rows")
    limits = () if len(sets) == len(ROLES) else tuple(f"{why}: no overlap" for why in missing)
    if len(inputs) <= most:
        return Found(rows, near_numbers(inputs, rows.marks, seed=lab.seed), False, limits)
    drawn = np.sort(np.random.default_rng(lab.seed).permutation(len(inputs))[:most])
    part = Rows(rows.sides[drawn], rows.labels[drawn], rows.marks[drawn])
    told = f"{most} of {len(inputs)} rows were drawn; twins outside are not seen, rates are lower"
    return Found(
        part, near_numbers(inputs[drawn], part.marks, seed=lab.seed), True, (*limits, told)
    )


def _texts(lab: Lab) -> Found:
    """Reads the files as text, in the sandbox: what could not be decoded as numbers."""
    data = lab.subject.spec.data
    specs = {role: data.of(role) for role in ROLES}
    there = {r: s for r, s in specs.items() if s is not None and lab.subject.file(s.path)}
    if not there:
        raise NotAvailable("no data came along")
    places = lab.admit(*(spec.path for spec in there.values()))
    told = {}
    for (role, spec), place in zip(there.items(), places, strict=True):
        reply = lab.run(
            "detectors.data.texts.text_marks",
            path=str(place), label=spec.labels, most_rows=lab.count("rows"), seed=lab.seed,
        )  # fmt: skip
        if reply.values["problem"] or not reply.values["rows"]:
            raise NotAvailable(f"the {role} data cannot be read: {reply.values['problem']}")
        told[role] = reply
    rows = Rows(
        np.concatenate([np.full(int(r.values["rows"]), ROLES.index(n)) for n, r in told.items()]),
        np.concatenate([reply.arrays["labels"] for reply in told.values()]),
        np.concatenate([reply.arrays["marks"] for reply in told.values()]),
    )
    near = None
    if all("signatures" in reply.arrays for reply in told.values()):
        near = near_texts(
            *(
                np.concatenate([reply.arrays[name] for reply in told.values()])
                for name in ("signatures", "planted", "innocent")
            )
        )
    sampled = any(bool(reply.values["unseen"]) for reply in told.values())
    limits = [f"only the first {lab.count('rows')} rows of a file were read"] if sampled else []
    if near is None:
        limits.append("the columns hold names, not texts: only equal rows were searched")
    return Found(rows, near, sampled, tuple(limits))


def _twins(groups: Groups, rows: Rows) -> Twins:
    training = rows.sides == 0
    count = int(groups.max(initial=-1)) + 1
    in_training = np.bincount(groups[training], minlength=count) > 0
    pairs = np.unique(np.stack([groups, rows.labels]), axis=1)[0]
    labels = np.bincount(pairs, minlength=count)
    _, first = np.unique(2 * groups + rows.sides, return_index=True)
    twice = np.ones(len(groups), dtype=np.bool_)
    twice[first] = False
    return Twins(~training & in_training[groups], twice, labels[groups] > 1)


def _estimates(equal: Twins, close: Twins | None, found: Found) -> Iterator[tuple[str, Estimate]]:
    evaluation = found.rows.sides == 1
    for name, twins in (("equal", equal), ("near", close)):
        if twins is None:
            continue
        if evaluation.any() and not evaluation.all():
            yield f"{name}_overlap", _share(twins.across[evaluation], found.sampled)
        yield f"{name}_duplicates", _share(twins.twice, found.sampled)
        yield f"{name}_two_labels", _share(twins.torn, found.sampled)


def _share(marked: Any, sampled: bool) -> Estimate:
    count, n = int(marked.sum()), len(marked)
    return binomial(count, n) if sampled else Estimate.exact(count / n, n=n)


def _observations(
    equal: Twins, close: Twins | None, rows: Rows, lab: Lab, *, commonplace: bool
) -> Iterator[Observation]:
    for how, twins in (("equal", equal), ("near", close)):
        if twins is None:
            continue
        whole = "are also" if how == "equal" else "nearly repeat a row"
        sizes = int((rows.sides == 1).sum()), len(rows.sides)
        told = (
            (
                "overlap", twins.across, sizes[0], lab.number("most_overlap"),
                f"evaluation rows {whole} in the training data, so results on them flatter",
            ),
            ("duplicates", twins.twice, sizes[1], MANY_TWICE, "rows repeat an earlier one"),
            ("two_labels", twins.torn, sizes[1], MANY_TORN, "rows have a twin of another label"),
        )  # fmt: skip
        for name, marked, of, many, says in told:
            count = int(marked.sum())
            if count:
                first = ", ".join(_place(row, rows) for row in np.flatnonzero(marked)[:5])
                yield Observation(
                    rule=f"{_RULE}.{how}_{name}",
                    severity=_severity(count / of, many, name, commonplace=commonplace),
                    detail=f"{count} of {of} {says}; first {first}",
                )


def _severity(share: float, many: float, name: str, *, commonplace: bool) -> Severity:
    if commonplace or share < many:
        return Severity.LOW
    return Severity.HIGH if name == "overlap" and share >= 0.5 else Severity.MEDIUM


def _controls(near: Near) -> tuple[Control, Control]:
    return (
        Control(
            name="planted near twins",
            planted=True,
            found=near.planted >= ENOUGH * near.controls,
            estimate=binomial(near.planted, near.controls),
            detail=f"{near.planted} of {near.controls} copies of {near.kind} with a small change "
            "were found",
        ),
        Control(
            name="rows that repeat none",
            planted=False,
            found=near.accused > FEW * near.controls,
            estimate=binomial(near.accused, near.controls),
            detail=f"{near.accused} of {near.controls} mixed {near.kind} were called twins",
        ),
    )


def _detail(equal: Twins, close: Twins | None, rows: Rows) -> str:
    def told(twins: Twins) -> str:
        return (
            f"{int(twins.across.sum())} across both sets, {int(twins.twice.sum())} within one, "
            f"{int(twins.torn.sum())} with two labels"
        )

    more = f"; nearly so: {told(close)}" if close else ""
    return f"{len(rows.sides)} rows; equal to another: {told(equal)}{more}"


def _named(equal: Twins, close: Twins | None, found: Found) -> list[dict[str, Any]]:
    """Returns the first groups of twins across sets or of two labels, and who is in them."""
    groups = equal_groups(found.rows) if close is None or found.near is None else found.near.groups
    twins = close or equal
    wanted = np.unique(groups[twins.across | twins.torn])[:NAMED]
    return [
        {
            "members": [
                {"row": _place(row, found.rows), "label": int(found.rows.labels[row])}
                for row in np.flatnonzero(groups == group)[:NAMED]
            ]
        }
        for group in wanted
    ]


def _place(row: int, rows: Rows) -> str:
    """Returns set and number of a row, counted from the start of its set."""
    side = int(rows.sides[row])
    return f"{ROLES[side]} {int(row - np.searchsorted(rows.sides, side))}"
