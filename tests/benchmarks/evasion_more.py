"""Further rows of the evasion benchmark: memory by number of points, models at addresses."""

import importlib.metadata
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.checks.evasion.cascade import Budget, Cascade, answers
from tasks.checks.evasion.settling import BLOCK
from tasks.checks.lab import Examples, Lab
from tasks.checks.running import check_function
from tasks.targets.endpoint.addresses import reach_of
from tasks.targets.endpoint.broker import Terms
from tests.benchmarks.evasion_tools import Bench, proofhouse
from tests.benchmarks.evasion_work import REAL, Work, data_folder, work_of
from tests.simulators.endpoint import ModelServer, serving, v2
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.targets.models import digits, trained

Row = dict[str, Any]
FEW, TIMES = 250, 8
ASKED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "scores, Square, 100 questions a point": (
        "logits", "evasion.linf_robust_accuracy", {"square_queries": 100},
    ),
    "scores, Square, 1,000 questions a point": (
        "logits", "evasion.linf_robust_accuracy", {"square_queries": 1000},
    ),
    "labels only, RayS and HopSkipJump, 500 questions a point each": (
        "labels", "evasion.decision_based", {"queries": 500},
    ),
}  # fmt: skip
"""What the address reveals, the check, and its budget."""
POINTS, EPSILON = 50, 0.1


def memory_rows(alone: Callable[..., Any]) -> Iterator[Row]:
    """Peak memory of the same attacks on some points several times over, and on as many points.

    The work is the same, so what the allocator keeps for itself is the same, too. Points are taken
    block by block, as the check takes them.
    """
    name = next(iter(REAL)) if data_folder() is not None else "digits"
    few, many = alone(grown, name, FEW, TIMES), alone(grown, name, FEW * TIMES, 1)
    yield {
        "work": f"{name}, {FEW} points {TIMES} times over, and {FEW * TIMES} points",
        "tool": "Proofhouse",
        "version": importlib.metadata.version("proofhouse"),
        "n": FEW * TIMES,
        "seconds": dict.fromkeys(("median", "min", "max"), many["seconds"]),
        "passes": many["passes"],
        "peak_mib": round(many["peak"]),
        "quality": {
            "peak_mib_over_start_few": round(few["grown"], 1),
            "peak_mib_over_start_many": round(many["grown"], 1),
            "mib_of_more_points": round(many["data"] - few["data"], 1),
        },
    }


def grown(name: str, count: int, times: int) -> Row:
    """Runs short attacks of every kind on ``count`` points; returns how far memory grew."""
    torch.set_num_threads(1)
    work = work_of(name, None)
    examples = Examples(*(np.resize(rows, (count, *rows.shape[1:])) for rows in work.examples))
    bench: Any = Bench(work)
    _short(bench, work, Examples(*(rows[:8] for rows in examples)))
    start, started, before = _peak(), time.process_time(), work.target.meter.passes
    for _ in range(times):
        for first in range(0, count, BLOCK):
            _short(bench, work, Examples(*(rows[first : first + BLOCK] for rows in examples)))
    return {
        "grown": _peak() - start,
        "peak": _peak(),
        "data": examples.inputs.nbytes / 2**20,
        "seconds": round(time.process_time() - started, 1),
        "passes": work.target.meter.passes - before,
    }


def _short(bench: Any, work: Work, examples: Examples) -> None:
    budget = Budget(work.epsilon / 4, *work.target.bounds, whole=False)
    cascade = Cascade(bench, examples, answers(bench, examples.inputs), budget)
    cascade.attack("apgd", "attacks.evasion.linf_apgd", loss="ce", steps=8)
    cascade.attack("fab", "attacks.evasion.linf_fab", steps=2, targets=1)
    cascade.attack("square", "attacks.evasion.square", queries=8)
    bench.run(
        "attacks.evasion.fmn", {"inputs": examples.inputs, "labels": examples.labels}, steps=4,
        targets=1,
    )  # fmt: skip


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def endpoint_rows(alone: Callable[..., Any]) -> Iterator[Row]:
    """What a search finds at an address by budget, beside what gradients find on the file."""
    work = work_of("digits", None)
    for name in ASKED:
        yield alone(asked, name, work.name)


def asked(name: str, model: str) -> Row:
    """Runs one check against a server on loopback."""
    torch.set_num_threads(1)
    kind, check, budget = ASKED[name]
    network = trained(adversarial_epsilon=0.1)

    def reader(inputs: Any) -> Any:
        with torch.no_grad():
            scores = network(torch.from_numpy(inputs)).numpy()
        return scores.argmax(axis=1) if kind == "labels" else scores

    with tempfile.TemporaryDirectory() as folder, serving(v2(reader)) as server:
        made = _bench(check, Path(folder), server, kind, budget)
        started, wall = time.process_time(), time.perf_counter()
        with made:
            found = check_function(check)(made)
        seconds, wall = time.process_time() - started, time.perf_counter() - wall
        requests = server.asked
    return {
        "work": f"{model}, behind an address: {name}",
        "tool": "Proofhouse",
        "version": importlib.metadata.version("proofhouse"),
        "n": found.estimates["robust_accuracy"].n,
        "seconds": {key: round(seconds, 1) for key in ("median", "min", "max")},
        "passes": found.cost.queries,
        "quality": {
            "robust": round(found.estimates["robust_accuracy"].value, 4),
            "white_box_robust": _white_box(),
            "requests": requests,
            "queries_a_wall_second": round(found.cost.queries / wall),
        },
    }


def _bench(check: str, folder: Path, server: ModelServer, kind: str, budget: Row) -> Lab:
    test, train = digits()[1], digits()[0]
    store = MemoryStore()
    made = lab(
        check,
        folder,
        evaluation=test,
        training=train,
        classes=10,
        store=store,
        artifact=None,
        endpoint={"url": server.url, "batch": 256, "timeout_seconds": 60},
        output={"kind": kind, "classes": 10},
    )
    chosen = {"points": POINTS, "epsilon": EPSILON, **budget}
    return Lab(
        subject=made.subject,
        store=store,
        sandbox=DirectSandbox(),
        workspace=folder,
        parameters=resolve_parameters(Catalog().check(check), chosen),
        seed=0,
        terms=Terms(reach=reach_of(f"127.0.0.1:{server.port}")),
    )


def _white_box() -> float:
    """Robust accuracy of the same points under gradients."""

    work = work_of("digits", None)
    rows = np.random.default_rng(0).permutation(len(work.examples.labels))[:POINTS]
    examples = Examples(work.examples.inputs[rows], work.examples.labels[rows])
    return round(float(proofhouse(work._replace(examples=examples)).mean()), 4)
