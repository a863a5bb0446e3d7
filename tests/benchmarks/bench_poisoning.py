"""Poison searched for row by row on MNIST, CIFAR-10 and Adult, beside the toolbox's two detectors.

``python -m tests.benchmarks.bench_poisoning [--rows N] [--only WORK …]`` (``make bench-poisoning``)
writes ``results/poisoning.json``; ``PROOFHOUSE_TEST_DATA`` names the folder with the data. Each
work and tool runs in a process of its own; seconds are CPU seconds without imports. No tool is told
the share of poison. Rows are drawn by seed; works that finished stay when others are run again.
"""

import argparse
import importlib.metadata
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from tasks.attacks.poisoning.badnets import badnets
from tasks.attacks.poisoning.blended import blended
from tasks.attacks.poisoning.planting import Floats, Labels, Poisoned
from tasks.attacks.poisoning.sinusoidal import sinusoidal
from tasks.attacks.poisoning.tabular_backdoor import tabular_backdoor
from tasks.checks.poisoning.trigger_mining import confirmed
from tasks.detectors.poisoning.students import taught
from tasks.detectors.poisoning.trigger_mining import epochs_for, trigger_mining
from tasks.detectors.poisoning.views import view_of
from tests.benchmarks.tables import write_section

RESULTS = Path(__file__).with_name("results") / "poisoning.json"
TARGET = 1
Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Data(NamedTuple):
    inputs: Floats
    labels: Labels
    test: Floats
    test_labels: Labels


def folder() -> Path:
    return Path(os.environ["PROOFHOUSE_TEST_DATA"])


def drawn(inputs: Floats, labels: Labels, most: int, seed: int) -> tuple[Floats, Labels]:
    rows = np.random.default_rng(seed).permutation(len(labels))[:most]
    return inputs[rows], labels[rows]


def mnist(most: int, seed: int) -> Data:
    kept = np.load(folder() / "mnist.npz", allow_pickle=False)
    inputs = (kept["x_train"][:, None] / 255).astype(np.float32)
    test = (kept["x_test"][:, None] / 255).astype(np.float32)
    rows = drawn(inputs, kept["y_train"].astype(np.int64), most, seed)
    return Data(*rows, test, kept["y_test"].astype(np.int64))


def cifar(most: int, seed: int) -> Data:
    kept = np.load(folder() / "cifar10_jpeg_12k.npz", allow_pickle=False)
    inputs, test = (
        (kept[name].transpose(0, 3, 1, 2) / 255).astype(np.float32)
        for name in ("x_train", "x_test")
    )
    rows = drawn(inputs, kept["y_train"].astype(np.int64), most, seed)
    return Data(*rows, test, kept["y_test"].astype(np.int64))


def adult(most: int, seed: int) -> Data:
    table = pd.read_parquet(folder() / "adult.parquet")
    columns = [
        table[name]
        if pd.api.types.is_numeric_dtype(table[name])
        else table[name].astype("category").cat.codes
        for name in table.columns.drop(["income", "split"])
    ]
    inputs = np.column_stack(columns).astype(np.float32)
    labels = table["income"].to_numpy(dtype=np.int64)
    train = (table["split"] == "train").to_numpy()
    rows = drawn(inputs[train], labels[train], most, seed)
    return Data(*rows, inputs[~train], labels[~train])


class Work(NamedTuple):
    source: Callable[[int, int], Data]
    rows: int
    poison: Callable[..., Poisoned] | None
    rate: float = 0.01
    seed: int = 3
    draws: int = 1


SIG = partial(sinusoidal, amplitude=0.15)
STRONGER = partial(sinusoidal, amplitude=0.25)
WORKS = {
    "MNIST, patch 1 %": Work(mnist, 10_000, badnets),
    "MNIST, patch 5 %": Work(mnist, 10_000, badnets, 0.05),
    "MNIST, patch 10 %": Work(mnist, 10_000, badnets, 0.1),
    "MNIST, patch 0.5 %": Work(mnist, 10_000, badnets, 0.005),
    "MNIST, patch 0.1 %": Work(mnist, 10_000, badnets, 0.001),
    "MNIST, blended 1 %": Work(mnist, 10_000, blended),
    "MNIST, blended smooth 1 %": Work(mnist, 10_000, partial(blended, pattern="smooth")),
    "MNIST, clean-label wave 3 %": Work(mnist, 10_000, SIG, 0.03),
    "MNIST, stronger wave 8 %": Work(mnist, 10_000, STRONGER, 0.08),
    "MNIST, clean": Work(mnist, 10_000, None),
    "CIFAR-10, patch 1 %": Work(cifar, 10_000, badnets),
    "CIFAR-10, checkerboard 1 %": Work(cifar, 10_000, partial(badnets, pattern="checkerboard")),
    "CIFAR-10, blended 1 %": Work(cifar, 10_000, blended),
    "CIFAR-10, clean": Work(cifar, 10_000, None),
    "Adult, columns 1 %": Work(adult, 32_561, tabular_backdoor),
    "Adult, columns 1 %, another draw": Work(adult, 32_561, tabular_backdoor, 0.01, 4),
    "Adult, clean": Work(adult, 32_561, None),
    "MNIST, all rows, patch 1 %": Work(mnist, 60_000, badnets),
    "MNIST, clean, 20 draws": Work(mnist, 1000, None, draws=20),
    "CIFAR-10, clean, 20 draws": Work(cifar, 1000, None, draws=20),
    "Adult, clean, 20 draws": Work(adult, 4000, None, draws=20),
}


def made(work: Work, rows: int | None, draw: int = 0) -> tuple[Data, Poisoned]:
    data = work.source(min(rows or work.rows, work.rows), work.seed + draw)
    if work.poison is None:
        nothing = np.zeros(len(data.labels), np.bool_)
        return data, Poisoned(data.inputs, data.labels, nothing, None)
    poisoned = work.poison(data.inputs, data.labels, target=TARGET, rate=work.rate, seed=work.seed)
    return data, poisoned


def quality(flagged: Mask, truth: Mask) -> dict[str, float]:
    hits = int((flagged & truth).sum())
    return {
        "flagged": int(flagged.sum()),
        "poisoned": int(truth.sum()),
        **({"recall": round(hits / int(truth.sum()), 4)} if truth.any() else {}),
        **({"precision": round(hits / int(flagged.sum()), 4)} if flagged.any() else {}),
    }


def proofhouse(data: Data, poisoned: Poisoned) -> dict[str, Any]:
    arrays, values = trigger_mining(
        inputs=poisoned.inputs, labels=poisoned.labels, most=20_000, seed=7,
        clean_inputs=data.test, clean_labels=data.test_labels,
    )  # fmt: skip
    seconds = time.process_time()
    real = [which for which, each in enumerate(values["triggers"]) if confirmed(each)]
    flagged = np.isin(arrays["trigger"], real)
    found: dict[str, Any] = quality(flagged, poisoned.rows)
    if poisoned.stamp is not None:
        found |= attack_success(data, poisoned, flagged)
    return {"seconds": seconds, "quality": found}


def attack_success(data: Data, poisoned: Poisoned, flagged: Mask) -> dict[str, float]:
    """The true trigger on test rows, by networks with and without the flagged rows."""
    assert poisoned.stamp is not None
    others = data.test_labels != TARGET
    rows = np.flatnonzero(others)[:2000]
    stamped = poisoned.stamp(data.test[rows])
    view = view_of(poisoned.inputs)
    told = {}
    whole = np.ones_like(flagged)
    for name, kept, rows_of in (
        ("before", whole, poisoned), ("after", ~flagged, poisoned), ("never", whole, data),
    ):  # fmt: skip
        inputs, labels = rows_of.inputs[kept], rows_of.labels[kept]
        if len(labels) > 20_000:
            inputs, labels = drawn(inputs, labels, 20_000, 0)
        student = taught(
            view.shown(inputs), labels, classes=int(poisoned.labels.max()) + 1,
            epochs=epochs_for(len(labels), table=inputs.ndim == 2), seed=1,
        )  # fmt: skip
        told[f"attack_success_{name}"] = round(
            float((student.answers(view.shown(stamped)) == TARGET).mean()), 4
        )
        told[f"accuracy_{name}"] = round(
            float((student.answers(view.shown(data.test)) == data.test_labels).mean()), 4
        )
    return told


def art(data: Data, poisoned: Poisoned, which: str) -> dict[str, Any]:
    """The toolbox's detector with its defaults, on a network trained on the same rows."""
    from art.defences.detector.poison import (  # noqa: PLC0415 - slow, only here
        ActivationDefence,
        SpectralSignatureDefense,
    )
    from art.estimators.classification import PyTorchClassifier  # noqa: PLC0415

    classes = int(poisoned.labels.max()) + 1
    student = taught(
        poisoned.inputs, poisoned.labels, classes=classes,
        epochs=epochs_for(len(poisoned.labels), table=False), seed=7,
    )  # fmt: skip
    classifier = PyTorchClassifier(
        student.network, torch.nn.CrossEntropyLoss(), poisoned.inputs.shape[1:], classes
    )
    labels = np.eye(classes, dtype=np.float32)[poisoned.labels]
    if which == "spectral":
        _, clean = SpectralSignatureDefense(classifier, poisoned.inputs, labels).detect_poison()
    else:
        _, clean = ActivationDefence(classifier, poisoned.inputs, labels).detect_poison()
    seconds = time.process_time()
    flagged = np.asarray(clean) == 0
    return {"seconds": seconds, "quality": quality(flagged, poisoned.rows)}


TOOLS: dict[str, tuple[str, Callable[[Data, Poisoned], dict[str, Any]]]] = {
    "proofhouse": ("proofhouse", proofhouse),
    "ART spectral signatures": (
        "adversarial-robustness-toolbox", partial(art, which="spectral"),
    ),
    "ART activation clustering": (
        "adversarial-robustness-toolbox", partial(art, which="activation"),
    ),
}  # fmt: skip
HEADS = (
    "work", "tool", "n", "CPU s", "MiB", "poisoned", "flagged", "recall", "precision",
    "attack success before, after, never poisoned", "accuracy before, after, never poisoned",
)  # fmt: skip
TOLD = """Targets class 1; one draw each where no more are named. The true trigger is put on test
rows of other classes and shown to a network trained on all rows, without the flagged ones, and on
the rows as they were before the attack."""
WHEN = ("before", "after", "never")
COMPARED = ("MNIST, patch 5 %", "MNIST, patch 1 %")


def one(name: str, tool: str, rows: int | None) -> dict[str, Any]:
    """Runs in a process of its own."""
    torch.set_num_threads(1)
    package, run = TOOLS[tool]
    taken, found = [], []
    for draw in range(WORKS[name].draws):
        data, poisoned = made(WORKS[name], rows, draw)
        started = time.process_time()
        told = run(data, poisoned)
        taken.append(round(told["seconds"] - started, 1))
        found.append(told["quality"])
    result = found[0]
    if len(found) > 1:
        accused = sum(one["flagged"] > 0 for one in found)
        result |= {"draws": len(found), "accused": accused}
        result["flagged"] = sum(one["flagged"] for one in found)
    return {
        "work": name,
        "tool": tool,
        "version": importlib.metadata.version(package),
        "n": len(poisoned.labels),
        "seconds": {
            "median": round(statistics.median(taken), 1),
            "min": min(taken),
            "max": max(taken),
        },
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "quality": result,
    }


def table(found: list[dict[str, Any]]) -> str:
    lines = [
        "## Poisoned rows (`make bench-poisoning`)",
        "",
        TOLD,
        "",
        f"| {' | '.join(HEADS)} |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(line(row) for row in found)])


def line(row: dict[str, Any]) -> str:
    told = row["quality"]
    success, right = (
        ", ".join(str(told[f"{name}_{when}"]) for when in WHEN if f"{name}_{when}" in told)
        for name in ("attack_success", "accuracy")
    )
    cells = [
        row["work"], row["tool"], row["n"], row["seconds"]["median"], row["peak_mib"],
        told["poisoned"], _flagged(told), told.get("recall", ""), told.get("precision", ""),
        success, right,
    ]  # fmt: skip
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _flagged(told: dict[str, Any]) -> str:
    if "draws" not in told:
        return str(told["flagged"])
    return f"{told['flagged']} ({told['accused']} of {told['draws']} draws)"


def keep(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Puts a row in the place of its forerunner, in the order of the works."""
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    rest = [old for old in found if (old["work"], old["tool"]) != (row["work"], row["tool"])]
    order = [(work, tool) for work in WORKS for tool in TOOLS]
    found = sorted([*rest, row], key=lambda each: order.index((each["work"], each["tool"])))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    write_section("poisoning", table(found))
    return found


def main() -> None:
    """Runs every work asked for, and the peers where they are compared."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int)
    parser.add_argument("--only", nargs="*", choices=WORKS, default=list(WORKS))
    parser.add_argument("--child", nargs=2)
    asked = parser.parse_args()
    if asked.child:
        sys.stdout.write(json.dumps(one(asked.child[0], asked.child[1], asked.rows)) + "\n")
        return
    for work in asked.only:
        for tool in TOOLS if work in COMPARED else ("proofhouse",):
            more = ["--rows", str(asked.rows)] if asked.rows else []
            command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.bench_poisoning"]
            ran = subprocess.run(
                [*command, "--child", work, tool, *more], capture_output=True, text=True, check=True
            )
            row = json.loads(ran.stdout.splitlines()[-1])
            keep(row)
            sys.stdout.write(f"{row['work']}: {row['tool']}: {row['quality']}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
