"""The models and points of the evasion benchmark, and what the AutoAttack reference said of them.

The real models lie in the development data (``PROOFHOUSE_TEST_DATA``); without it only networks
that are trained here on handwritten digits are attacked.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
from torch import nn

from tasks.checks.lab import Examples
from tasks.domain.bundle import ModelSpec
from tasks.targets.torch_target import TorchTarget
from tests.tasks.targets.models import description, digits, trained


class Reference(NamedTuple):
    """The AutoAttack reference, standard version, on one thread, run once and kept."""

    clean: np.ndarray[tuple[int], np.dtype[np.bool_]]
    robust: np.ndarray[tuple[int], np.dtype[np.bool_]]
    passes: int
    cpu_seconds: float


class Work(NamedTuple):
    """One model, the points to attack, and the budget."""

    name: str
    target: TorchTarget
    examples: Examples
    epsilon: float
    reference: Reference | None = None
    norm: str = "linf"

    def first(self, count: int) -> "Work":
        """Returns the same work on its first points."""
        examples = Examples(self.examples.inputs[:count], self.examples.labels[:count])
        return self._replace(examples=examples, reference=None)


class Recorded(NamedTuple):
    """What is known of a real model beside its weights (SOURCES.md of the development data)."""

    data: str
    epsilon: float
    passes: int
    cpu_seconds: float


REAL = {
    "mnist_certified_eps03_clean": Recorded("mnist", 0.3, 5_326_818 + 1_322_317, 461),
    "mnist_certified_eps01_clean": Recorded("mnist", 0.1, 3_758_757 + 914_293, 332),
    "cifar_at": Recorded("cifar", 8 / 255, 460_908 + 131_108, 180),
    "cifar_std": Recorded("cifar", 8 / 255, 74_669 + 64_732, 56),
}


L2 = {"mnist_certified_eps03_clean, L2": 1.0, "digits, L2": 0.5}
"""The same models under changes of this length."""


def data_folder() -> Path | None:
    """Returns where the development data lies, if this machine has it."""
    folder = os.environ.get("PROOFHOUSE_TEST_DATA")
    return Path(folder) if folder else None


def work_of(name: str, count: int | None) -> Work:
    """Returns a real model by its name, or ``digits``: a hardened network trained here."""
    model, _, norm = name.partition(", ")
    work = real_work(model) if model in REAL else digits_work(hardened=0.1, epsilon=0.1, count=797)
    if norm:
        work = work._replace(name=name, epsilon=L2[name], reference=None, norm="l2")
    return work if count is None else work.first(count)


def real_work(name: str) -> Work:
    """Returns a published model with the points of the reference.

    Raises:
        FileNotFoundError: The development data is not there.
    """
    folder, known = data_folder(), REAL[name]
    if folder is None:
        raise FileNotFoundError("PROOFHOUSE_TEST_DATA is not set")
    with np.load(folder / "autoattack_reference.npz") as kept:
        clean, robust = kept[f"{name}__clean"], kept[f"{name}__robust"]
    weights = safetensors.torch.load_file(folder / "models" / f"{name}.safetensors")
    network = _mnist_network() if known.data == "mnist" else _cifar_network()
    network.load_state_dict({key.removeprefix("net."): value for key, value in weights.items()})
    mnist = known.data == "mnist"
    examples = _mnist(folder, len(clean)) if mnist else _cifar(folder, len(clean))
    normal: dict[str, Any] = {} if mnist else {"mean": [0.5] * 3, "std": [0.25] * 3}
    model = ModelSpec.model_validate(description(shape=examples.inputs.shape[1:], **normal))
    return Work(
        name=name,
        target=TorchTarget(network, model, kind="benchmark"),
        examples=examples,
        epsilon=known.epsilon,
        reference=Reference(clean, robust, known.passes, known.cpu_seconds),
    )


def digits_work(*, hardened: float, epsilon: float, count: int, epochs: int = 25) -> Work:
    """Returns a small network trained here, with or without one-step adversarial training."""
    network = trained(adversarial_epsilon=hardened, epochs=epochs)
    inputs, labels = digits().test
    return Work(
        name=f"digits, hardened at {hardened:g}, {epochs} epochs",
        target=TorchTarget(network, ModelSpec.model_validate(description()), kind="benchmark"),
        examples=Examples(inputs[:count], labels[:count]),
        epsilon=epsilon,
    )


def _mnist_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1568, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def _cifar_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4096, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def _mnist(folder: Path, count: int) -> Examples:
    with np.load(folder / "mnist.npz") as data:
        inputs = (data["x_test"][:count, None] / 255).astype(np.float32)
        return Examples(inputs, data["y_test"][:count].astype(np.int64))


def _cifar(folder: Path, count: int) -> Examples:
    with np.load(folder / "cifar10_jpeg_12k.npz") as data:
        images = data["x_test"][:count].transpose(0, 3, 1, 2) / 255
        inputs = np.ascontiguousarray(images.astype(np.float32))
        return Examples(inputs, data["y_test"][:count].astype(np.int64))
