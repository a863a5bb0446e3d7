"""Evasion at the strength of the AutoAttack reference: what it costs here and with the peers.

``make bench-evasion`` writes ``results/evasion.json``, a plot, and the table in ``README.md``. Each
row runs in a process of its own, on one thread. Passes are counted by the target itself: one
forward or one backward of one input. Times are CPU seconds: the machine may be busy.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks import evasion_gates as gates
from tests.benchmarks.evasion_picture import draw
from tests.benchmarks.evasion_tools import DISTRIBUTIONS, TOOLS, missing
from tests.benchmarks.evasion_work import REAL, data_folder, work_of
from tests.benchmarks.tables import evasion_table, write_section

RESULTS = Path(__file__).with_name("results")
SLICES = {
    "torchattacks AutoAttack": 40,
    "torchattacks APGD-CE": 200,
    "Foolbox PGD-100": 200,
    "ART PGD-100": 200,
    "ART AutoAttack": 8,
}
"""Points that each peer gets; ours is run on the same ones."""
PEER_WORK = ("mnist_certified_eps03_clean", "digits")
ONCE = "ART AutoAttack"
"""Takes minutes for these few points, so it gets only the first work that is there."""
SHARDS = 8
Row = dict[str, Any]


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a function in a fresh process, so that time and memory are its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def attack(tool: str, name: str, count: int | None) -> Row:
    """Runs one tool on one work; returns its row."""
    torch.set_num_threads(1)
    work = work_of(name, count)
    package, function = TOOLS[tool]
    before, started = work.target.meter.passes, time.process_time()
    standing = function(work)
    seconds = round(time.process_time() - started, 2)
    passes = work.target.meter.passes - before
    quality: Row = {"robust": round(float(standing.mean()), 4)}
    if work.reference is not None:
        robust = work.reference.robust
        quality |= {
            "reference_robust": round(float(robust.mean()), 4),
            "agreement": round(float((standing == robust).mean()), 4),
            "only_reference_broke": int((standing & ~robust).sum()),
            "only_ours_broke": int((~standing & robust).sum()),
            "fewer_passes": round(work.reference.passes / passes, 1),
            "fewer_cpu_seconds": round(work.reference.cpu_seconds / seconds, 1),
        }
    return {
        "work": name,
        "tool": tool,
        "version": importlib.metadata.version(DISTRIBUTIONS.get(package, package)),
        "n": len(standing),
        "seconds": {"median": seconds, "min": seconds, "max": seconds},
        "passes": passes,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "quality": quality,
    }


def recorded(name: str) -> Row:
    """Returns the row of the reference, which was run once and is not on the package index."""
    work = work_of(name, None)
    assert work.reference is not None
    seconds = work.reference.cpu_seconds
    return {
        "work": name,
        "tool": "AutoAttack reference (recorded)",
        "version": "a39220048b3c",
        "n": len(work.examples.labels),
        "seconds": {"median": seconds, "min": seconds, "max": seconds},
        "passes": work.reference.passes,
        "quality": {"robust": round(float(work.reference.robust.mean()), 4)},
    }


def peers(name: str, tools: list[str]) -> list[Row]:
    """Runs peers on their slices, and ours on the same points."""
    rows = []
    for tool in tools:
        count = SLICES[tool]
        if reason := missing(tool):
            rows.append({"work": f"{name}, first {count}", "tool": tool, "skipped": reason})
            continue
        theirs, ours = alone(attack, tool, name, count), alone(attack, "Proofhouse", name, count)
        ours["quality"] |= {
            "against": tool,
            "fewer_passes": round(theirs["passes"] / ours["passes"], 1),
            "fewer_cpu_seconds": round(theirs["seconds"]["median"] / ours["seconds"]["median"], 1),
        }
        rows += [row | {"work": f"{name}, first {count}"} for row in (theirs, ours)]
    return rows


def settled_gates() -> Row:
    """Compares settled gates with full evaluations."""
    torch.set_num_threads(1)
    started, passes, answers = time.process_time(), 0, []
    for seed, work in enumerate(gates.models()):
        found = gates.evaluated(work, seed)
        passes += sum(found.passes)
        answers += [gates.gate(found, threshold) for threshold in gates.THRESHOLDS]
    seconds = round(time.process_time() - started, 1)
    return {
        "work": "settled gates: 12 models, 8 thresholds",
        "tool": "Proofhouse",
        "version": importlib.metadata.version("proofhouse"),
        "n": len(answers),
        "seconds": {"median": seconds, "min": seconds, "max": seconds},
        "passes": passes,
        "quality": gates.summary(answers),
    }


def block(index: int) -> int:
    """Attacks one share of the digits; returns how many points stand."""
    torch.set_num_threads(1)
    work = work_of("digits", None)
    inputs, labels = work.examples
    share = work.examples._replace(inputs=inputs[index::SHARDS], labels=labels[index::SHARDS])
    return int(TOOLS["Proofhouse"][1](work._replace(examples=share)).sum())


def workers() -> Row:
    """Times the same blocks on one Dask worker and on two."""
    from distributed import Client, LocalCluster  # noqa: PLC0415 - only this row needs it

    walls, stood = {}, set()
    for count in (1, 2):
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            client.gather(client.map(block, range(count), pure=False))  # imports and training
            started = time.perf_counter()
            stood.add(tuple(client.gather(client.map(block, range(SHARDS), pure=False))))
            walls[count] = time.perf_counter() - started
    return {
        "work": f"{SHARDS} blocks on one and on two Dask workers",
        "tool": "Proofhouse",
        "version": importlib.metadata.version("proofhouse"),
        "n": SHARDS,
        "seconds": {
            "median": round(walls[2], 1), "min": round(walls[2], 1), "max": round(walls[1], 1),
        },
        "quality": {
            "speedup": round(walls[1] / walls[2], 2),
            "same_answer": len(stood) == 1,
            "load_at_the_end": round(os.getloadavg()[0], 1),
        },
    }  # fmt: skip


def all_rows(*, quick: bool) -> list[Row]:
    """Runs everything; ``quick`` leaves out the peers that take minutes."""
    rows: list[Row] = []
    for name in REAL:
        if data_folder() is None:
            rows.append({"work": name, "tool": "Proofhouse", "skipped": "no development data"})
            continue
        rows += [alone(attack, "Proofhouse", name, None), recorded(name)]
    tools = [tool for tool in SLICES if not (quick and tool == ONCE)]
    for name in PEER_WORK:
        if name in REAL and data_folder() is None:
            continue
        rows += peers(name, tools)
        tools = [tool for tool in tools if tool != ONCE]
    return [*rows, alone(settled_gates), alone(workers)]


def main() -> None:
    """Writes results, picture and table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without ART's AutoAttack")
    rows = all_rows(quick=parser.parse_args().quick)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "evasion.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draw(rows, RESULTS / "evasion.svg")
    write_section("evasion", evasion_table(rows))


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
