"""The watch over one series of nights: what was counted, and the evidence that something changed.

One gate watches one column, or the risk, by a few rates: the share of rows below each decile of the
reference, or of each common category, and of missing values. What each night adds are counts. The
reference's own sampling error is part of the band (taken once for the whole watch), so nights that
share a reference are no trouble.

A changed reference ends a watch and starts the next one of the series, with its own share of the
series' alpha: 6 / (pi² j²) of it for the j-th, so that all together, forever, spend no more.

Source: Podkopaev and Ramdas 2022, arXiv 2110.06177: a band for the source, bets on the target.
"""

from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from tasks.detectors.drift.sketch import HASHED, Sketch
from tasks.domain.digest import Digest, DigestField
from tasks.domain.frozen import Frozen
from tasks.statistics.campaigns import (
    Band,
    log_evidence,
    reference_band,
    share_of_alpha,
)
from tasks.statistics.intervals import Floats
from tasks.statistics.two_sample import Counts

RISK = "risk"
DECILES = np.arange(1, 10) / 10
COMMON = 8
"""Categories of a column that are watched by name."""


class Gate(Frozen):
    """One column, or the risk: which cells are counted together, and what the reference says."""

    name: str
    tolerance: float = Field(ge=0, le=1)
    harm_only: bool = False
    """Alarm only when a rate rises: it counts what is wrong."""
    parts: tuple[str, ...]
    successes: tuple[int, ...]
    trials: tuple[int, ...]


class Night(Frozen):
    """What one night adds: for each gate and part, how often it happened, of how many rows."""

    current: DigestField
    rows: int = Field(ge=0)
    successes: tuple[tuple[int, ...], ...]
    trials: tuple[tuple[int, ...], ...]


class Watch(Frozen):
    """All nights since the reference was taken. Its digest is the state of the series."""

    schema_: Literal["proofhouse.watch/1"] = Field(default="proofhouse.watch/1", alias="schema")
    series: str
    number: int = Field(ge=1)
    """How many references the series has had, this one included."""
    alpha: float = Field(gt=0, lt=1)
    """Chance that any gate of any watch of the series ever alarms without reason."""
    reference: DigestField
    previous: DigestField | None = None
    gates: tuple[Gate, ...]
    nights: tuple[Night, ...] = ()

    @property
    def spends(self) -> float:
        """The share of alpha that this watch may spend."""
        return share_of_alpha(self.alpha, self.number)

    def place(self, current: str) -> int | None:
        """Returns which night (from 0) counted these rows: the same ones are no new evidence."""
        counted = [night.current for night in self.nights]
        return counted.index(Digest(current)) if current in counted else None


class Evidence(NamedTuple):
    """Natural logarithms of the evidence of one gate after each night, and what makes an alarm."""

    gate: str
    logs: Floats
    limit: float

    @property
    def alarmed(self) -> int | None:
        """The first night (from 1) on which the gate alarmed; an alarm stands."""
        over = np.flatnonzero(self.logs >= self.limit)
        return int(over[0]) + 1 if len(over) else None


def opened(
    reference: Sketch,
    digest: DigestField,
    *,
    series: str,
    alpha: float,
    tolerance: float,
    risk_tolerance: float,
    after: Watch | None = None,
) -> Watch:
    """Starts the first watch of a series, or the next one after its reference changed.

    Args:
        reference: What every night is held against.
        digest: The reference's digest.
        series: Name of what is watched.
        alpha: For the whole series; an earlier watch's alpha is kept.
        tolerance: What a share of rows may move by.
        risk_tolerance: What the risk may rise or fall by.
        after: The watch that this one replaces.
    """
    gates = [_column_gate(reference, at, tolerance) for at in _watched(reference)]
    if int(reference.answered.sum()):
        wrong, rows = risk_counts(reference)
        gates.append(
            Gate(
                name=RISK,
                tolerance=risk_tolerance,
                harm_only=True,
                parts=("wrong",),
                successes=(wrong,),
                trials=(rows,),
            )
        )
    return Watch(
        series=series,
        number=after.number + 1 if after else 1,
        alpha=after.alpha if after else alpha,
        reference=digest,
        gates=tuple(gates),
    )


def advanced(
    watch: Watch, current: Sketch, digest: DigestField, previous: DigestField | None
) -> Watch:
    """Adds a night; the same watch when its rows were counted before.

    Args:
        watch: The series so far.
        current: Tonight's sketch, in the cells of the reference.
        digest: The sketch's digest.
        previous: Digest of ``watch``, where it was kept before.
    """
    if watch.place(digest) is not None:
        return watch
    counted = [_observed(current, gate) for gate in watch.gates]
    night = Night(
        current=digest,
        rows=current.rows,
        successes=tuple(tuple(int(one) for one in wins) for wins, _ in counted),
        trials=tuple(tuple(int(one) for one in rows) for _, rows in counted),
    )
    return watch.model_copy(update={"previous": previous, "nights": (*watch.nights, night)})


def evidence(watch: Watch) -> tuple[Evidence, ...]:
    """Returns the evidence of every gate after every night."""
    found = []
    for at, gate in enumerate(watch.gates):
        alpha = alpha_of(watch, gate)
        shape = len(watch.nights), len(gate.parts)
        successes, trials = (
            np.array([getattr(night, name)[at] for night in watch.nights], dtype=np.int64)
            for name in ("successes", "trials")
        )
        logs = log_evidence(
            successes.reshape(shape),
            trials.reshape(shape),
            band_of(gate, alpha),
            falls=not gate.harm_only,
        )
        found.append(Evidence(gate.name, logs, float(-np.log(alpha))))
    return tuple(found)


def alpha_of(watch: Watch, gate: Gate) -> float:
    """Returns what a gate may spend on its band, and again on its bets.

    The risk, where it is watched, has half of the watch's alpha; the columns share the rest.
    """
    risks = sum(one.harm_only for one in watch.gates)
    columns = len(watch.gates) - risks
    share = watch.spends / 2
    if risks and columns:
        share /= 2
    return share / (risks if gate.harm_only else columns)


def band_of(gate: Gate, alpha: float) -> Band:
    """Returns where the gate's rates may be without reason for alarm."""
    return reference_band(
        np.array(gate.successes, dtype=np.int64),
        np.array(gate.trials, dtype=np.int64),
        # The unused side of a gate that only looks for harm costs nothing.
        alpha=2 * alpha if gate.harm_only else alpha,
        tolerance=gate.tolerance,
    )


def risk_counts(sketch: Sketch) -> tuple[int, int]:
    """Returns how many labelled rows were answered wrongly, and how many there are."""
    rows = int(sketch.answered.sum())
    return rows - int(sketch.right.sum()), rows


def _watched(sketch: Sketch) -> list[int]:
    # Labels come late and for few rows; what they say of the model is the risk.
    return sketch.places("feature", "prediction", "derived")


def _column_gate(reference: Sketch, at: int, tolerance: float) -> Gate:
    column, counts = reference.layout.columns[at], reference.counts[at]
    parts = _decile_cells(counts) if column.kind == "number" else _common_cells(counts)
    gate = Gate(
        name=column.name,
        tolerance=tolerance,
        parts=tuple(parts),
        successes=(0,) * len(parts),
        trials=(0,) * len(parts),
    )
    successes, trials = _observed(reference, gate)
    return gate.model_copy(
        update={
            "successes": tuple(int(one) for one in successes),
            "trials": tuple(int(one) for one in trials),
        }
    )


def _decile_cells(counts: Counts) -> list[str]:
    below = np.cumsum(counts[:-1])
    if not len(below) or not below[-1]:
        return ["missing"]
    cells = np.unique(np.searchsorted(below, DECILES * below[-1]))
    # In the last cell every row lies below, which says nothing.
    return [f"below {cell}" for cell in cells if cell < len(below) - 1] + ["missing"]


def _common_cells(counts: Counts) -> list[str]:
    named = counts[: -HASHED - 1]
    common = np.argsort(-named, kind="stable")[:COMMON]
    return [f"cell {cell}" for cell in sorted(int(cell) for cell in common)] + [
        "other names",
        "missing",
    ]


def _observed(sketch: Sketch, gate: Gate) -> tuple[list[int], list[int]]:
    if gate.name == RISK and gate.parts == ("wrong",):
        wrong, rows = risk_counts(sketch)
        return [wrong], [rows]
    at = sketch.column(gate.name)
    assert at is not None, "tonight was counted in the cells of the reference"
    counts = sketch.counts[at]
    known = int(counts[:-1].sum())
    successes, trials = [], []
    for part in gate.parts:
        what, _, cell = part.rpartition(" ")
        if part == "missing":
            successes.append(int(counts[-1]))
            trials.append(known + int(counts[-1]))
        elif part == "other names":
            successes.append(int(counts[-HASHED - 1 : -1].sum()))
            trials.append(known)
        else:
            place = int(cell)
            successes.append(
                int(counts[: place + 1].sum()) if what == "below" else int(counts[place])
            )
            trials.append(known)
    return successes, trials
