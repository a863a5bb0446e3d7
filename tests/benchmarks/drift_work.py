"""The work of the drift benchmark: tables with planted shifts, and streams night by night."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone

from tasks.detectors.drift.sketch import Layout, Sketch
from tasks.detectors.drift.watch import RISK, advanced, evidence, opened
from tasks.domain.digest import Digest
from tasks.intake.comparison import Roles, plan
from tasks.intake.sketching import Counting
from tasks.intake.table_batches import Batch
from tasks.sandbox.protocol import Array

SHIFTED = ("n1", "n4", "n7", "c0", "c3", "c6")
GATES, NIGHTS, ROWS, REFERENCE = 12, 90, 200, 2000
ALPHA = 0.01


def wide_table(seed: int, rows: int, *, shifted: bool) -> pd.DataFrame:
    """Draws 12 columns of numbers and 8 of categories; six of them can be moved a little."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for at in range(12):
        kind = at % 4
        columns[f"n{at}"] = (
            rng.normal(at, 1 + at, rows) if kind == 0
            else rng.lognormal(0, 0.5 + at / 20, rows) if kind == 1
            else np.where(rng.random(rows) < 0.7, 0.0, rng.exponential(100, rows)) if kind == 2
            else rng.integers(0, 90, rows).astype(float)
        )  # fmt: skip
    for at in range(8):
        names = np.array([f"value {name}" for name in range(3 + 2 * at)])
        columns[f"c{at}"] = names[np.minimum(rng.geometric(0.35, rows) - 1, len(names) - 1)]
    if shifted:
        columns["n1"] = columns["n1"] * 1.03
        columns["n4"] = columns["n4"] + 0.25
        columns["n7"] = np.where(rng.random(rows) < 0.02, 95.0, columns["n7"])
        for name, share in (("c0", 0.02), ("c3", 0.05), ("c6", 0.01)):
            columns[name] = np.where(rng.random(rows) < share, "value 1", columns[name])
    return pd.DataFrame(columns)


def write_tables(folder: Path, rows: int, parts: int = 1) -> None:
    """Writes ``reference`` and ``current``: files, or folders of so many parts."""
    for name, seed, shifted in (("reference", 1, False), ("current", 2, True)):
        table = wide_table(seed, rows, shifted=shifted)
        if parts == 1:
            table.to_parquet(folder / f"{name}.parquet")
            continue
        (folder / name).mkdir()
        size = rows // parts
        for at in range(parts):
            table[at * size : (at + 1) * size].to_parquet(folder / name / f"{at:03d}.parquet")


def sketch_of(layout: Layout, batch: Batch, source: str) -> Sketch:
    """Counts one batch."""
    counter = Counting(layout, source=source, seed=1)
    counter.add(batch)
    return counter.sketch


class Campaign(NamedTuple):
    """On which night (from 1) each method first alarmed, or None."""

    watch: int | None
    naive: int | None
    stability: int | None


def campaign(seed: int, points: float = 0.0, change: int = 30) -> Campaign:
    """Plays 90 nights over 12 gates; from ``change`` on the first moves by so many points."""
    from scipy import stats  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(REFERENCE, GATES))
    moved = 2 * stats.norm.ppf(0.5 + points / 2)  # moves the median by so many points of rank
    layout = plan([_columns(reference)], Roles())
    watch = opened(
        sketch_of(layout, _columns(reference), "reference"), _named(0), series="campaign",
        alpha=ALPHA, tolerance=0.05, risk_tolerance=0.02,
    )  # fmt: skip
    naive = stability = None
    bins = np.quantile(reference, np.arange(1, 10) / 10, axis=0)
    for night in range(1, NIGHTS + 1):
        rows = rng.normal(size=(ROWS, GATES))
        if night >= change:
            rows[:, 0] += moved
        watch = advanced(watch, sketch_of(layout, _columns(rows), str(night)), _named(night), None)
        if naive is None:
            least = min(
                stats.ks_2samp(reference[:, g], rows[:, g], method="asymp").pvalue
                for g in range(GATES)
            )
            naive = night if least < 0.05 else None
        if stability is None:
            worst = max(_psi(reference[:, g], rows[:, g], bins[:, g]) for g in range(GATES))
            stability = night if worst > 0.1 else None
    alarms = [one.alarmed for one in evidence(watch) if one.alarmed is not None]
    return Campaign(min(alarms, default=None), naive, stability)


class Stream(NamedTuple):
    """What a watch said of a stream: rows at which gates alarmed, and which."""

    risk_alarms: list[int]
    input_alarms: list[tuple[int, str]]
    looks: int
    rates: list[tuple[int, float]]


def watched_stream(
    learner: Any, x: Array, y: Array, *, train: int, holds: list[int], night: int, risk: float
) -> Stream:
    """Trains on the first rows, takes the next as reference, then watches night by night.

    After an alarm of the risk the next rows train a new model and become a new reference, and the
    series goes on with its next watch, as long as there is one more size in ``holds``.
    """
    at, watch = 0, None
    found = Stream([], [], 0, [])
    looks = 0
    for hold in holds:
        if at + train + hold + night > len(y):
            break
        model = clone(learner).fit(x[at : at + train], y[at : at + train])
        at += train
        batch = _labelled(model, x[at : at + hold], y[at : at + hold])
        layout = plan([batch], Roles(labels="y", predictions=("p",)))
        watch = opened(
            sketch_of(layout, batch, f"rows {at}"), _named(at), series="stream", alpha=ALPHA,
            tolerance=0.05, risk_tolerance=risk, after=watch,
        )  # fmt: skip
        at += hold
        told: set[str] = set()
        while at + night <= len(y):
            rows = _labelled(model, x[at : at + night], y[at : at + night])
            at += night
            looks += 1
            watch = advanced(watch, sketch_of(layout, rows, f"rows {at}"), _named(at), None)
            found.rates.append((at, float(((rows["p"] >= 0.5) != rows["y"]).mean())))  # type: ignore[operator]
            alarmed = {one.gate for one in evidence(watch) if one.alarmed is not None} - told
            told |= alarmed
            found.input_alarms.extend((at, gate) for gate in sorted(alarmed - {RISK}))
            if RISK in alarmed:
                found.risk_alarms.append(at)
                if len(found.risk_alarms) < len(holds):
                    break
    return found._replace(looks=looks)


def _labelled(model: Any, x: Array, y: Array) -> Batch:
    columns: Batch = {f"x{at}": x[:, at].astype(np.float64) for at in range(x.shape[1])}
    return columns | {"p": model.predict_proba(x)[:, 1], "y": y.astype(np.float64)}


def _columns(rows: Array) -> Batch:
    return {f"gate {at}": rows[:, at] for at in range(rows.shape[1])}


def _named(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


def _psi(reference: Array, rows: Array, bins: Array) -> float:
    p, q = (
        np.maximum(np.bincount(np.searchsorted(bins, x), minlength=10) / len(x), 1e-4)
        for x in (reference, rows)
    )
    return float(((p - q) * np.log(p / q)).sum())
