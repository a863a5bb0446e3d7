"""Copies of one victim by Proofhouse and by ART, in one run: ``make bench-extraction``.

Writes ``results/extraction.json``, a plot and the section in ``README.md``. Every tool works in a
process of its own, on one thread, with the same pool, the same number of queries, the same student
and the same number of steps; seconds are CPU seconds without imports and data. The rows called
``curve`` and ``strategies`` do more work than any peer offers, beside the peers' single copy.

Work ``digits`` trains its victim here; work ``mnist`` reads ``PROOFHOUSE_TEST_DATA``.
"""

import argparse
import importlib
import importlib.metadata
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks.attacks.extraction.knockoff import knockoff, queries
from tasks.attacks.extraction.notebook import Notebook
from tasks.attacks.extraction.students import BATCH, Lesson, studied
from tasks.checks.extraction.fidelity import SHARES, STRATEGIES
from tasks.sandbox.procedures import procedure
from tasks.sandbox.protocol import Array
from tests.benchmarks.extraction_by_art import by_art
from tests.benchmarks.extraction_work import EPOCHS, WORKS, Copied, Work, asked_of, away_of, cut
from tests.benchmarks.tables import write_section

FOLDER = Path(__file__).with_name("results")
INTRODUCTION = (
    "One copy, at equal queries, student and steps (5 epochs of batches of 64), by Proofhouse and "
    "by ART; below them what Proofhouse does for one finding. `passes` are the student's forwards "
    "and backwards; the victim is asked `queries` times. PRADA: the query at which a monitor of "
    "query distances reports the thief. `off`: fidelity on inputs of another distribution."
)
REPEATS = 3


def one_copy(work: Work) -> Copied:
    """One copy from scores, at the peers' number of steps."""
    notebook = Notebook(work.target, budget=work.budget)
    notebook.ask(queries(work.pool, work.budget, work.target.bounds, seed=0))
    lesson = Lesson(np.arange(work.budget), notebook.beliefs, EPOCHS * work.budget // BATCH)
    (named,) = studied(notebook.asked, [lesson], asked_of(work), bounds=work.target.bounds, seed=0)
    return Copied(*cut(named, work), work.budget, lesson.passes, {})


def curve(work: Work) -> Copied:
    """The check's whole curve: four budgets, five arms, a baseline."""
    budgets = [round(share * work.budget) for share in SHARES]
    reply = knockoff(
        work.target,
        pool=work.pool,
        labels=work.labels,
        held_out=asked_of(work),
        budgets=budgets,
    )
    truth = predicted(work, work.held_out)
    held = len(work.held_out)
    more = {
        "copies": len(budgets) + len(reply.values["arms"]),
        "baseline": share(reply.arrays["baseline"][:held] == truth),
        "by_queries": {
            str(at): share(copy[:held] == truth)
            for at, copy in zip(budgets, reply.arrays["curve"], strict=True)
        },
        "by_arm": {
            arm: share(copy[:held] == truth)
            for arm, copy in zip(reply.values["arms"], reply.arrays["arms"], strict=True)
        },
        "monitor_alarm_at": reply.values["monitor"]["alarm_at"],
    }
    named = reply.arrays["curve"][-1]
    spent, passes = int(reply.values["queries"]), int(reply.values["student_passes"])
    return Copied(*cut(named, work), spent, passes, more)


def strategy(name: str) -> Callable[[Work], Copied]:
    def steal(work: Work) -> Copied:
        # Strategies choose from a pool as small as a thief's would be.
        own = min(len(work.pool), work.budget)
        reply = procedure(f"attacks.extraction.{name}")(
            work.target,
            pool=work.pool[:own],
            labels=work.labels[:own],
            held_out=asked_of(work),
            budget=work.budget,
        )
        more = {"monitor_alarm_at": reply.values["monitor"]["alarm_at"]}
        spent, passes = int(reply.values["queries"]), int(reply.values["student_passes"])
        return Copied(*cut(reply.arrays["student"], work), spent, passes, more)

    return steal


TOOLS: dict[str, Callable[[Work], Copied]] = {
    "proofhouse": one_copy,
    "art-copycat": by_art("CopycatCNN", soft=False),
    "art-knockoff-random": by_art("KnockoffNets", soft=False),
    "art-knockoff-prob": by_art("KnockoffNets", soft=True),
    "art-knockoff-adaptive": by_art(
        "KnockoffNets", soft=True, sampling_strategy="adaptive", reward="all", verbose=False
    ),
    "proofhouse curve": curve,
    **{f"proofhouse {name}": strategy(name) for name in STRATEGIES},
}


ON_DIGITS_ONLY = {"art-knockoff-adaptive", *(f"proofhouse {name}" for name in STRATEGIES)}
"""Many small trainings in a row; on the larger work they would take most of the time."""


def predicted(work: Work, inputs: Array) -> Array:
    labels: Array = work.target.scores(inputs).argmax(axis=1)
    return labels


def share(flags: Array) -> float:
    return round(float(np.mean(flags)), 4)


def measured(tool: str, name: str) -> dict[str, Any]:
    """Runs one tool once, in this process."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    work = WORKS[name]()
    if tool.startswith("art"):
        importlib.import_module("art.attacks.extraction")
    started = time.process_time()
    copied = TOOLS[tool](work)
    seconds = time.process_time() - started
    quality = {
        "fidelity": share(copied.held == predicted(work, work.held_out)),
        "fidelity_off_distribution": share(copied.away == predicted(work, away_of(work))),
        "accuracy": share(copied.held == work.held_labels),
        **copied.more,
    }
    return {
        "seconds": seconds,
        "queries": copied.queries,
        "passes": copied.passes,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "quality": quality,
    }


def row(tool: str, name: str, repeats: int) -> dict[str, Any]:
    """Runs one tool several times, each time in a process of its own."""
    library = "adversarial-robustness-toolbox" if tool.startswith("art") else "proofhouse"
    where = {"work": name, "tool": tool, "version": importlib.metadata.version(library)}
    if tool.startswith("art") and importlib.util.find_spec("art") is None:
        return {**where, "skipped": "adversarial-robustness-toolbox is not installed"}
    if name == "mnist" and "PROOFHOUSE_TEST_DATA" not in os.environ:
        return {**where, "skipped": "PROOFHOUSE_TEST_DATA is not set"}
    command = [sys.executable, "-m", __spec__.name, "--tool", tool, "--work", name]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]
    seconds = [run["seconds"] for run in runs]
    return {
        **where,
        "n": runs[0]["queries"],
        "runs": repeats,
        "load": round(os.getloadavg()[0], 1),
        "seconds": {
            "median": round(statistics.median(seconds), 2),
            "min": round(min(seconds), 2),
            "max": round(max(seconds), 2),
        },
        "passes": runs[0]["passes"],
        "peak_mib": max(run["peak_mib"] for run in runs),
        "quality": runs[0]["quality"],
    }


def section(rows: list[dict[str, Any]]) -> str:
    """Returns the section of the README in Markdown."""
    lines = [
        "## Extraction (`make bench-extraction`)",
        "",
        INTRODUCTION,
        "",
        "![Agreement by queries](results/extraction.svg)",
        "",
        "| work | tool | queries | passes | CPU s | runs | load | MiB | fidelity | off | PRADA |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, rows), "", *_arms(rows)])


def _line(row: dict[str, Any]) -> str:
    start = f"| {row['work']} | {row['tool']} |"
    if "skipped" in row:
        return f"{start} | | | | | | | | skipped: {row['skipped']} |"
    quality, took = row["quality"], row["seconds"]
    seconds = f"{took['median']} ({took['min']} to {took['max']})"
    alarm = quality.get("monitor_alarm_at", "") if "monitor_alarm_at" in quality else ""
    return (
        f"{start} {row['n']} | {row['passes']} | {seconds} | {row['runs']} | "
        f"{row.get('load', '')} | {row['peak_mib']} | "
        f"{quality['fidelity']:.4f} | {quality['fidelity_off_distribution']:.4f} | "
        f"{'not seen' if alarm is None else alarm} |"
    )


def _arms(rows: list[dict[str, Any]]) -> list[str]:
    found = []
    for each in rows:
        if each["tool"] == "proofhouse curve" and "quality" in each:
            quality = each["quality"]
            arms = ", ".join(f"{arm} {value:.4f}" for arm, value in quality["by_arm"].items())
            found.append(
                f"`{each['work']}`, {quality['copies']} copies in one go: fidelity by arm {arms}; "
                f"taught by labels alone {quality['baseline']:.4f}."
            )
    return found


def plot(rows: list[dict[str, Any]]) -> None:
    """Draws fidelity by queries, with the baseline and the peers' single points."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - not needed by the measuring processes

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for place, name in enumerate(WORKS, 1):
        axes = figure.add_subplot(1, len(WORKS), place)
        axes.set(title=name, xlabel="queries", ylabel="fidelity", xscale="log")
        for each in rows:
            if each["work"] != name or "quality" not in each:
                continue
            quality = each["quality"]
            if "by_queries" in quality:
                x = [int(at) for at in quality["by_queries"]]
                axes.plot(x, list(quality["by_queries"].values()), "o-", label=each["tool"])
                axes.axhline(quality["baseline"], linestyle=":", label="taught by labels")
            else:
                axes.plot([each["n"]], [quality["fidelity"]], "x", label=each["tool"])
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=6)
    figure.savefig(FOLDER / "extraction.svg", metadata={"Date": None})


def main() -> None:
    """Measures everything, or one tool on one work."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", choices=TOOLS)
    parser.add_argument("--work", choices=WORKS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--only", nargs="*", default=[], help="WORK/TOOL; others keep their rows")
    chosen = parser.parse_args()
    if chosen.tool:
        sys.stdout.write(json.dumps(measured(chosen.tool, chosen.work)))
        return
    jobs = [
        (tool, name)
        for name in WORKS
        for tool in TOOLS
        if name == "digits" or tool not in ON_DIGITS_ONLY
    ]
    kept = FOLDER / "extraction.json"
    known = json.loads(kept.read_text(encoding="utf-8")) if chosen.only and kept.exists() else []
    rows = {(each["tool"], each["work"]): each for each in known}
    for tool, name in jobs:
        if chosen.only and f"{name}/{tool}" not in chosen.only:
            continue
        rows[tool, name] = row(tool, name, chosen.repeats)
        sys.stderr.write(f"{json.dumps(rows[tool, name])}\n")
        write([rows[job] for job in jobs if job in rows])


def write(rows: list[dict[str, Any]]) -> None:
    """Writes what is known so far."""
    FOLDER.mkdir(exist_ok=True)
    text = json.dumps(rows, indent=1) + "\n"
    (FOLDER / "extraction.json").write_text(text, encoding="utf-8")
    plot(rows)
    write_section("extraction", section(rows))


if __name__ == "__main__":
    main()
