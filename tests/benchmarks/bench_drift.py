"""Drift: speed and finds beside peers, memory by partitions, false alarms over nights, streams.

``make bench-drift`` writes ``results/drift.json`` and the section of ``README.md``; one part alone
with ``PARTS=speed`` (or ``memory``, ``campaigns``, ``streams``).
``PROOFHOUSE_TEST_DATA`` names the folder with ``sea_drift.npz`` and ``elec2.parquet``;
``PROOFHOUSE_PEERS__EVIDENTLY`` the interpreter of an environment with Evidently. What is not there
is a row that says so.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from tasks.statistics.intervals import binomial
from tests.benchmarks.drift_work import (
    ALPHA,
    GATES,
    NIGHTS,
    SHIFTED,
    Campaign,
    campaign,
    watched_stream,
    write_tables,
)
from tests.benchmarks.tables import write_section

RESULTS = Path(__file__).with_name("results") / "drift.json"
CAMPAIGNS = int(os.environ.get("BENCH_CAMPAIGNS", "500"))
CHANGED = 40
ROUNDS = 3
MILLION = 1_000_000
Row = dict[str, Any]


def main(parts: list[str]) -> None:
    """Runs the named parts, or all, and writes the results; other parts keep their old rows."""
    known = {"speed": speed, "memory": memory, "campaigns": campaigns, "streams": streams}
    kept: dict[str, list[Row]] = {}
    if parts and RESULTS.is_file():
        for row in json.loads(RESULTS.read_text(encoding="utf-8")):
            kept.setdefault(row["part"], []).append(row)
    for part in parts or known:
        kept[part] = [{"part": part, **row} for row in known[part]()]
        rows = [row for name in known for row in kept.get(name, [])]
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        write_section("drift", table(rows))


def speed() -> list[Row]:
    """A million rows of twenty columns, six of them moved, for every tool."""
    work = f"{MILLION:,} x 20 twice, 6 shifted"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tables(folder, MILLION)
        pair = [str(folder / f"{side}.parquet") for side in ("reference", "current")]
        ours = [sys.executable, "-m", "tests.benchmarks.drift_tools"]
        rows = [
            timed(work, tool, [*ours, tool, *pair])
            for tool in ("proofhouse", "exact KS and chi-square")
        ]
        python = os.environ.get("PROOFHOUSE_PEERS__EVIDENTLY", "")
        if not python:
            why = "PROOFHOUSE_PEERS__EVIDENTLY is not set"
            return [*rows, {"work": work, "tool": "evidently", "skipped": why}]
        script = str(Path(__file__).with_name("drift_evidently.py"))
        return [*rows, timed(work, "evidently", [python, "-I", script, *pair], rounds=1)]


def memory() -> list[Row]:
    """The same rows in more and more partitions, and twice as many rows: memory stays."""
    rows = []
    for count, parts in ((MILLION // 2, 8), (MILLION, 16), (2 * MILLION, 32)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_tables(folder, count, parts)
            command = [
                sys.executable, "-m", "tests.benchmarks.drift_tools", "proofhouse",
                str(folder / "reference"), str(folder / "current"),
            ]  # fmt: skip
            rows.append(
                timed(f"{count:,} x 20 twice, in {parts} files", "proofhouse", command, rounds=1)
            )
    return rows


def timed(work: str, tool: str, command: list[str], rounds: int = ROUNDS) -> Row:
    """Runs a tool in processes of its own."""
    answers = []
    for _ in range(rounds):
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            return {"work": work, "tool": tool, "skipped": f"it failed: {last[0][:200]}"}
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    seconds = [answer["cpu"] for answer in answers]
    found = set(answers[0]["found"])
    return {
        "work": work,
        "tool": tool,
        "version": answers[0]["version"],
        "n": rounds,
        "seconds": {
            "median": round(statistics.median(seconds), 3),
            "min": round(min(seconds), 3),
            "max": round(max(seconds), 3),
        },
        "peak_mib": max(answer["peak_mib"] for answer in answers),
        "quality": {
            "found": len(found & set(SHIFTED)),
            "missed": sorted(set(SHIFTED) - found),
            "false": sorted(found - set(SHIFTED)),
        },
    }


def campaigns() -> list[Row]:
    """Nights on which nothing changes, and nights after a change of known size."""
    quiet = [campaign(seed) for seed in range(CAMPAIGNS)]
    work = f"{GATES} gates x {NIGHTS} nights, no change, alpha {ALPHA}"
    names = {"watch": "proofhouse", "naive": "KS at p < 0.05", "stability": "PSI above 0.1"}
    rows: list[Row] = []
    for method, tool in names.items():
        false = sum(getattr(one, method) is not None for one in quiet)
        rate = binomial(false, len(quiet))
        told = {"campaigns_with_false_alarm": round(rate.value, 5), "low": round(rate.low, 5)}
        rows.append(
            {
                "work": work,
                "tool": tool,
                "n": len(quiet),
                "quality": told | {"high": round(rate.high, 5)},
            }
        )
    return rows + [changed(points) for points in (0.08, 0.12, 0.2, 0.3)]


def changed(points: float, change: int = 30) -> Row:
    """How many nights after a change the watch alarms, where the tolerance is five points."""
    played: list[Campaign] = [campaign(100_000 + seed, points, change) for seed in range(CHANGED)]
    delays = [one.watch - change + 1 for one in played if one.watch and one.watch >= change]
    return {
        "work": f"one gate moves by {points:.0%} of ranks on night {change}, 200 rows a night",
        "tool": "proofhouse",
        "n": CHANGED,
        "quality": {
            "found": round(len(delays) / CHANGED, 3),
            "median_nights": statistics.median(delays) if delays else None,
            "too_early": sum(one.watch is not None and one.watch < change for one in played),
        },
    }


def streams() -> list[Row]:
    """Real and published streams."""
    folder = os.environ.get("PROOFHOUSE_TEST_DATA")
    if not folder:
        why = "PROOFHOUSE_TEST_DATA is not set"
        return [{"work": work, "tool": "proofhouse", "skipped": why} for work in ("SEA", "Elec2")]
    return [sea(Path(folder)), elec(Path(folder))]


def sea(folder: Path) -> Row:
    """Three changes of the concept under unchanged inputs, at 12,500, 25,000 and 37,500."""
    with np.load(folder / "sea_drift.npz") as data:
        x, y, points = data["x"], data["y"].astype(np.int64), data["drift_points"].tolist()
    found = watched_stream(
        LogisticRegression(), x, y, train=2000, holds=[8000, 3000, 3000, 3000], night=500, risk=0.01
    )
    after = [min((at - p for at in found.risk_alarms if at > p), default=None) for p in points]
    return {
        "work": "SEA: concept changes at 12,500, 25,000 and 37,500; nights of 500",
        "tool": "proofhouse",
        "n": len(y),
        "quality": {
            "risk_alarms_at": found.risk_alarms,
            "rows_after_each_change": after,
            "input_or_output_alarms": len(found.input_alarms),
            "false_alarms": len(found.risk_alarms) - sum(one is not None for one in after),
            "looks": found.looks,
        },
    }


def elec(folder: Path) -> Row:
    """A model of the first 8,000 half hours, held against the weeks that follow."""
    table_ = pd.read_parquet(folder / "elec2.parquet")
    x, y = table_.iloc[:, :-1].to_numpy(np.float64), table_.iloc[:, -1].to_numpy(np.int64)
    learner = HistGradientBoostingClassifier(random_state=0)
    found = watched_stream(learner, x, y, train=8000, holds=[2000], night=336, risk=0.01)
    before = (
        [rate for at, rate in found.rates if at <= found.risk_alarms[0]]
        if found.risk_alarms
        else []
    )
    return {
        "work": "Elec2: trained on 8,000 rows, reference 2,000, then week by week",
        "tool": "proofhouse",
        "n": len(y),
        "quality": {
            "risk_alarm_at": found.risk_alarms[0] if found.risk_alarms else None,
            "weeks": len(before),
            "risk_until_then": round(float(np.mean(before)), 4) if before else None,
            "risk_of_all_weeks": round(float(np.mean([rate for _, rate in found.rates])), 4),
            "input_or_output_gates_in_alarm": len({gate for _, gate in found.input_alarms}),
        },
    }


def table(rows: list[Row]) -> str:
    """Returns the section in Markdown."""
    lines = [
        "## Drift (`make bench-drift`)",
        "",
        "CPU seconds of one process without imports, reading the files included.",
        "",
        "| work | tool | n | CPU s | MiB | what it says |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "skipped" in row:
            lines.append(f"| {row['work']} | {row['tool']} | | | | skipped: {row['skipped']} |")
            continue
        told = ", ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in row["quality"].items()
        )
        spent = row["seconds"]["median"] if "seconds" in row else ""
        tool = f"{row['tool']} {row.get('version', '')}".strip()
        cells = [row["work"], tool, row["n"], spent, row.get("peak_mib", ""), told]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
