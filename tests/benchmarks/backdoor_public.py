"""The backdoor checks that search triggers, whole, on public models with a known answer.

The models lie in ``models`` of ``PROOFHOUSE_TEST_DATA``, with the pictures to scan them with beside
it. Nothing was trained for this: they are what others published.
"""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from tasks.catalog.reading import Catalog
from tasks.checks.lab import Lab
from tasks.domain.bundle import InputSpec
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.tasks.checks.benches import lab

CHECKS = ("trigger_inversion", "twin_inversion", "transform_inversion")
Line = dict[str, Any]
Layers = Sequence[str | Mapping[str, Mapping[str, int]]]


class Public(NamedTuple):
    """One public model: its pictures, its layers, and what is known of it.

    ``places`` maps each layer's place to the name of its tensors in the file.
    """

    pictures: str
    layers: Layers
    places: Mapping[str, str]
    scaled: bool
    target: int | None = None
    source: int | None = None


def badnet(channels: int, flat: int) -> Layers:
    """Returns the layers of Gu et al. 2017's network, as public models have them."""
    return [
        {"conv2d": {"in": channels, "out": 16, "kernel": 5}}, "relu", {"avg_pool2d": {"kernel": 2}},
        {"conv2d": {"in": 16, "out": 32, "kernel": 5}}, "relu", {"avg_pool2d": {"kernel": 2}},
        "flatten", {"linear": {"in": flat, "out": 512}}, "relu", {"linear": {"in": 512, "out": 10}},
    ]  # fmt: skip


BADNET = {"0": "conv1.0", "3": "conv2.0", "7": "fc1.0", "9": "fc2.0"}
_CERTIFIED: Layers = [
    {"conv2d": {"in": 1, "out": 16, "kernel": 4, "stride": 2, "padding": 1}}, "relu",
    {"conv2d": {"in": 16, "out": 32, "kernel": 4, "stride": 2, "padding": 1}}, "relu",
    "flatten", {"linear": {"in": 1568, "out": 100}}, "relu", {"linear": {"in": 100, "out": 10}},
]  # fmt: skip
_SAME = {place: place for place in "0257"}

MODELS = {
    "badnet_mnist_target1": Public("mnist", badnet(1, 512), BADNET, scaled=True, target=1),
    "badnet_mnist_source4_target7": Public(
        "mnist", badnet(1, 512), BADNET, scaled=True, target=7, source=4
    ),
    "badnet_cifar10_target1": Public("cifar", badnet(3, 800), BADNET, scaled=True, target=1),
    "mnist_certified_eps01_clean": Public("mnist", _CERTIFIED, _SAME, scaled=False),
    "mnist_certified_eps03_clean": Public("mnist", _CERTIFIED, _SAME, scaled=False),
}


def examined(name: str, check: str, seed: int = 7) -> Line:
    """Runs one check on one model; returns its finding, its suspect, passes and CPU seconds."""
    known = MODELS[name]
    weights = Path(os.environ["PROOFHOUSE_TEST_DATA"]) / "models" / f"{name}.safetensors"
    told = {"source": known.source, "target": known.target}
    return {"model": name, "known": told} | scanned(known, weights.read_bytes(), check, seed)


def scanned(known: Public, weights: bytes, check: str, seed: int = 7) -> Line:
    """Runs one check on a model with these weights (safetensors); the model file says the rest."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        with _bench(known, weights, check, Path(folder), seed) as opened:
            measured: Measurement = import_module(f"tasks.checks.backdoor.{check}").measure(opened)
        seconds = time.process_time() - started
    found = judge(Catalog().check(f"backdoor.{check}"), measured)
    estimate = measured.estimates["trigger_success"]
    return {
        "check": check,
        "version": measured.version,
        "seed": seed,
        "outcome": found.outcome.value,
        "success": [estimate.value, estimate.low, estimate.high],
        "index": measured.facts.get("twin_index", measured.facts.get("anomaly_index")),
        "source": measured.facts.get("suspected_source"),
        "target": measured.facts["suspected_class"],
        "held": [control.held for control in measured.controls],
        "seconds": seconds,
        "passes": measured.cost.passes,
    }


def _bench(known: Public, weights: bytes, check: str, workspace: Path, seed: int) -> Lab:
    inputs, labels = test_rows(known.pictures)
    item = tuple(int(length) for length in inputs.shape[1:])
    centre = (0.5,) * item[0]
    scaling = {"mean": centre, "std": centre} if known.scaled else {}
    names = {
        f"{place}.{kind}": f"{stored}.{kind}"
        for place, stored in known.places.items()
        for kind in ("weight", "bias")
    }
    layers = yaml.safe_dump({"layers": list(known.layers), "weights": names})
    return lab(
        f"backdoor.{check}",
        workspace,
        evaluation=(inputs, labels),
        files={"model.safetensors": weights, "layers.yaml": layers.encode()},
        architecture="layers.yaml",
        classes=10,
        seed=seed,
        input=InputSpec(shape=item, range=(0.0, 1.0), **scaling),
    )


def test_rows(pictures: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns the rows that no model was trained on."""
    return _rows(pictures, "test")


def train_rows(pictures: str, most: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns the first rows of the other part."""
    inputs, labels = _rows(pictures, "train")
    return inputs[:most], labels[:most]


def _rows(pictures: str, part: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    folder = Path(os.environ["PROOFHOUSE_TEST_DATA"])
    if pictures == "mnist":
        raw = np.load(folder / "mnist.npz", allow_pickle=False)
        shown = raw[f"x_{part}"][:, None]
    else:
        raw = np.load(folder / "cifar10_jpeg_12k.npz", allow_pickle=False)
        shown = raw[f"x_{part}"].transpose(0, 3, 1, 2)
    return (shown / 255).astype(np.float32), raw[f"y_{part}"].astype(np.int64)
