"""Rows of the privacy table beside membership on Location-30: gates, claims, twins, embeddings."""

import importlib.metadata
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from tasks.attacks.inference.dp_accounting import dp_accounting
from tasks.attacks.inference.dp_court import try_claim
from tasks.attacks.inference.dp_loop import MISTAKES, Settings, run_loop
from tasks.catalog.reading import Catalog
from tasks.checks.privacy import embedding_inversion
from tasks.checks.privacy.membership_tail import measure
from tasks.demo.digits import split_digits
from tasks.demo.training import LAYERS as PICTURE_LAYERS
from tasks.demo.training import train
from tasks.domain.bundle import OutputSpec
from tasks.judging.gates import judge
from tasks.response.private_retraining import recipe_of
from tasks.sandbox.protocol import Array
from tasks.targets.private_training import private_training
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab

LAYERS = [{"linear": {"in": 446, "out": 128}}, "relu", {"linear": {"in": 128, "out": 30}}]
RECIPE: dict[str, Any] = {
    "optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.0, "epochs": 30,
    "batch_size": 100,
}  # fmt: skip
TWIN_SEEDS = (0, 1)
Row = dict[str, Any]


def spread_of(seconds: list[float]) -> dict[str, float]:
    """Returns median, lowest and highest of several runs."""
    ends = {"median": float(np.median(seconds)), "min": min(seconds), "max": max(seconds)}
    return {name: round(value, 3) for name, value in ends.items()}


def private_recipe(epsilon: float, rows: int) -> dict[str, Any]:
    """What ``proofhouse retrain`` uses when the bundle declares nothing."""
    return recipe_of(None, epsilon, rows).model_dump(mode="json", exclude={"privacy"})


def court_rows() -> list[dict[str, Any]]:
    """Tries one claim on 50 right loops and on each loop with a planted mistake."""
    declared = Settings(noise_multiplier=1.3, sample_rate=0.1, steps=20)
    claimed = float(
        dp_accounting(noise_multiplier=1.3, sample_rate=0.1, steps=20, delta=1e-5)[1]["prv"]
    )

    def row(work: str, mistake: str, seeds: range, runs: int) -> dict[str, Any]:
        seconds, trials = [], []
        for seed in seeds:
            started = time.process_time()
            trials.append(
                try_claim(
                    lambda inside, at: run_loop(declared, inside, seed=at, mistake=mistake),
                    epsilon=claimed,
                    delta=1e-5,
                    alpha=0.01,
                    runs=runs,
                    seed=seed,
                )
            )
            seconds.append(time.process_time() - started)
        return {
            "work": work,
            "tool": "proofhouse",
            "version": importlib.metadata.version("proofhouse"),
            "n": len(trials),
            "seconds": spread_of(seconds),
            "passes": 0,
            "quality": {
                "claimed epsilon": round(claimed, 3),
                "runs at most": runs,
                "convicted": sum(trial.refuted for trial in trials),
                "median runs": float(np.median([trial.runs for trial in trials])),
                "median bound": round(float(np.median([trial.bound for trial in trials])), 2),
                "ceiling": round(max(trial.ceiling for trial in trials), 2),
            },
        }

    rows = [row("privacy claim, right loop", "", range(1000, 1000 + 50 * 40_000, 40_000), 20_000)]
    return rows + [row(f"privacy claim, {name}", name, range(1, 4), 60_000) for name in MISTAKES]


def gate_rows(folder: Path, people: tuple[Array, Array]) -> list[dict[str, Any]]:
    """Judges three models of the same people: by heart, ordinary, and private."""
    inputs, labels = people
    inside = np.arange(len(labels)) < len(labels) // 2
    outside = ~inside
    layers = folder / "layers.yaml"
    layers.write_text(json.dumps({"layers": LAYERS}))
    store = MemoryStore()
    found = []
    for name, epsilon, recipe in (
        ("by heart", 0.0, RECIPE),
        ("ordinary", 0.0, RECIPE | {"epochs": 4}),
        ("private, epsilon 8", 8.0, private_recipe(8.0, int(inside.sum()))),
    ):
        made = private_training(
            inputs=inputs[inside],
            labels=labels[inside],
            test_inputs=inputs[outside],
            test_labels=labels[outside],
            architecture=str(layers),
            classes=30,
            epsilon=epsilon,
            delta=1e-5,
            recipe=recipe,
            max_gradient_norm=1.0,
            seed=7,
        )
        started = time.process_time()
        with lab(
            "privacy.membership_tail",
            folder,
            training=(inputs[inside], labels[inside]),
            evaluation=(inputs[outside], labels[outside]),
            files={
                "model.safetensors": safetensors.numpy.save(made.arrays),
                "layers.yaml": layers.read_bytes(),
            },
            classes=30,
            architecture="layers.yaml",
            store=store,
        ) as bench:
            measured = measure(bench)
        seconds = time.process_time() - started
        tail = measured.estimates["tpr_at_1_percent_fpr"]
        verdict = judge(Catalog().check("privacy.membership_tail"), measured)
        found.append(
            {
                "work": f"membership gate, {name}",
                "tool": "proofhouse",
                "version": importlib.metadata.version("proofhouse"),
                "n": tail.n,
                "seconds": spread_of([seconds]),
                "passes": measured.cost.passes,
                "quality": {
                    "accuracy": round(made.values["right"] / made.values["tests"], 4),
                    "tpr_at_1_percent_fpr": round(tail.value, 4),
                    "low": round(tail.low, 4),
                    "high": round(tail.high, 4),
                    "outcome": verdict.outcome.value,
                },
            }
        )
    return found


def twin_rows(folder: Path) -> list[Row]:
    """Trains the demo's convolutional digit reader again under each budget, with two seeds."""
    training, evaluation = split_digits()
    layers = folder / "pictures.yaml"
    layers.write_text(json.dumps({"layers": PICTURE_LAYERS}))
    found = []
    for epsilon in (1.0, 2.0, 4.0, 8.0):
        seconds, rates = [], []
        for seed in TWIN_SEEDS:
            started = time.process_time()
            told = private_training(
                inputs=training.images,
                labels=training.labels,
                test_inputs=evaluation.images,
                test_labels=evaluation.labels,
                architecture=str(layers),
                classes=10,
                epsilon=epsilon,
                delta=1e-5,
                recipe=private_recipe(epsilon, len(training.labels)),
                max_gradient_norm=1.0,
                seed=seed,
            ).values
            seconds.append(time.process_time() - started)
            rates.append(told["right"] / told["tests"])
        found.append(
            {
                "work": "private twin of a digit reader, 1000 rows, delta 1e-5",
                "tool": f"proofhouse, epsilon {epsilon:g}",
                "version": importlib.metadata.version("proofhouse"),
                "n": len(seconds),
                "seconds": spread_of(seconds),
                "passes": 0,
                "quality": {
                    "accuracy": round(float(np.mean(rates)), 4),
                    "lowest": round(min(rates), 4),
                    "highest": round(max(rates), 4),
                },
            }
        )
    return found


def embedding_rows(folder: Path) -> list[Row]:
    """Rebuilds digits from an early layer, a late one and the answer of the demo's network."""
    training, evaluation = split_digits()
    network = train(training, epochs=10, epsilon=0, seed=1)
    files = {
        "model.safetensors": safetensors.numpy.save(
            {name: value.detach().numpy() for name, value in network.state_dict().items()}
        ),
        "layers.yaml": json.dumps({"layers": PICTURE_LAYERS}).encode(),
    }
    found = []
    for layer in ("2", "6", "8"):
        started = time.process_time()
        with lab(
            "privacy.embedding_inversion",
            folder,
            evaluation=(evaluation.images, evaluation.labels),
            files=files,
            architecture="layers.yaml",
            output=OutputSpec(kind="logits", classes=10, embedding=layer),
        ) as bench:
            measured = embedding_inversion.measure(bench)
        recovered, identified = (measured.estimates[name] for name in ("recovered", "identified"))
        found.append(
            {
                "work": "digits from embeddings",
                "tool": f"proofhouse, layer {layer} ({measured.facts['width']} numbers)",
                "version": importlib.metadata.version("proofhouse"),
                "n": recovered.n,
                "seconds": spread_of([time.process_time() - started]),
                "passes": measured.cost.passes,
                "quality": {
                    "recovered": round(recovered.value, 4),
                    "low": round(recovered.low, 4),
                    "high": round(recovered.high, 4),
                    "identified": round(identified.value, 4),
                    "controls held": all(control.held for control in measured.controls),
                },
            }
        )
    return found
