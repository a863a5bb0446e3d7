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
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks import evasion_gates as gates
from tests.benchmarks.evasion_more import endpoint_rows, memory_rows
from tests.benchmarks.evasion_picture import draw
from tests.benchmarks.evasion_tools import DISTRIBUTIONS, TOOLS, missing
from tests.benchmarks.evasion_work import L2, REAL, Work, data_folder, work_of
from tests.benchmarks.tables import evasion_table, write_section

RESULTS = Path(__file__).with_name("results")
SLICES = {
    "torchattacks AutoAttack": 25,
    "torchattacks APGD-CE": 100,
    "Foolbox PGD-100": 100,
    "ART PGD-100": 100,
    "ART AutoAttack": 8,
}
"""Points that each peer gets; ours is run on the same ones."""
L2_SLICES = {
    "torchattacks AutoAttack": 25,
    "torchattacks APGD-CE": 100,
    "Foolbox FMN-100": 100,
    "ART APGD-100": 100,
}
PEER_WORK = ("mnist_certified_eps03_clean", "digits")
MOST_SECONDS = 60
"""CPU seconds for one tool on one work; who needs more has a row that says so."""
SHARDS = 8
KEPT = Path(__file__).parents[2] / ".benchmarks" / "evasion.json"
Row = dict[str, Any]


class OutOfTimeError(Exception):
    """A tool used up its CPU seconds."""


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a function in a fresh process, so that time and memory are its own."""
    # Forked before torch computes anything here, so the imports are paid for once.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(function, *arguments).result()


def in_time(function: Callable[[Work], Any], work: Work) -> tuple[Any, float]:
    """Returns the answer (None when it did not come in time) and the CPU seconds it took."""

    def late(_signal: int, _frame: object) -> None:
        raise OutOfTimeError

    signal.signal(signal.SIGPROF, late)
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        return function(work), time.process_time() - started
    except OutOfTimeError:
        return None, time.process_time() - started
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def attack(tool: str, name: str, count: int | None) -> Row:
    """Runs one tool on one work; returns its row."""
    torch.set_num_threads(1)
    work = work_of(name, count)
    package, function = TOOLS[tool]
    before = work.target.meter.passes
    standing, took = in_time(function, work)
    seconds, passes = round(took, 2), work.target.meter.passes - before
    return {
        "work": name if count is None else f"{name}, first {count}",
        "tool": tool,
        "version": importlib.metadata.version(DISTRIBUTIONS.get(package, package)),
        "n": len(work.examples.labels),
        "seconds": {"median": seconds, "min": seconds, "max": seconds},
        "passes": passes,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "quality": _quality(work, standing, passes, seconds),
    }


def _quality(work: Work, standing: Any, passes: int, seconds: float) -> Row:
    if standing is None:
        return {"unfinished_after_cpu_seconds": MOST_SECONDS}
    quality: Row = {"robust": round(float(standing.mean()), 4)}
    if work.reference is None:
        return quality
    robust = work.reference.robust
    return quality | {
        "reference_robust": round(float(robust.mean()), 4),
        "agreement": round(float((standing == robust).mean()), 4),
        "only_reference_broke": int((standing & ~robust).sum()),
        "only_ours_broke": int((~standing & robust).sum()),
        "fewer_passes": round(work.reference.passes / passes, 1),
        "fewer_cpu_seconds": round(work.reference.cpu_seconds / seconds, 1),
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


def real() -> Iterator[Row]:
    """Ours on the real models, beside what the reference took."""
    for name in REAL:
        if data_folder() is None:
            yield {"work": name, "tool": "Proofhouse", "skipped": "no development data"}
            continue
        yield alone(attack, "Proofhouse", name, None)
        yield recorded(name)


def peers() -> Iterator[Row]:
    """Every peer on its slice, and ours on the same points."""
    yield from beside(PEER_WORK, SLICES)


def beside(works: Iterable[str], slices: dict[str, int]) -> Iterator[Row]:
    """Peers and ours on the same points of each work."""
    for name in works:
        if name.partition(",")[0] in REAL and data_folder() is None:
            continue
        for tool, count in slices.items():
            if reason := missing(tool):
                yield {"work": f"{name}, first {count}", "tool": tool, "skipped": reason}
                continue
            theirs, ours = (alone(attack, each, name, count) for each in (tool, "Proofhouse"))
            least = "at_least_" if "robust" not in theirs["quality"] else ""
            took = theirs["seconds"]["median"] / ours["seconds"]["median"]
            ours["quality"] |= {
                "against": tool,
                f"{least}fewer_passes": round(theirs["passes"] / ours["passes"], 1),
                f"{least}fewer_cpu_seconds": round(took, 1),
            }
            yield theirs
            yield ours


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


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "real": real,
    "gates": lambda: iter([alone(settled_gates)]),
    "peers": peers,
    "l2": lambda: beside(L2, L2_SLICES),
    "memory": lambda: memory_rows(alone),
    "endpoint": lambda: endpoint_rows(alone),
    "workers": lambda: iter([alone(workers)]),
}


def main() -> None:
    """Writes results, picture and table, after every row; other parts keep their rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    for part in parser.parse_args().parts or PARTS:
        kept[part] = []
        for row in PARTS[part]():
            kept[part].append(row)
            write([row for name in PARTS for row in kept.get(name, [])], kept)


def write(rows: list[Row], kept: dict[str, list[Row]]) -> None:
    """Writes what is known so far."""
    RESULTS.mkdir(exist_ok=True)
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(kept), encoding="utf-8")
    (RESULTS / "evasion.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draw(rows, RESULTS / "evasion.svg")
    write_section("evasion", evasion_table(rows))


if __name__ == "__main__":
    main()
