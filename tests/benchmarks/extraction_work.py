"""The victims whose copies are compared, and what a copy is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
from torch import nn

from tasks.attacks.extraction.strangers import strangers
from tasks.domain.bundle import ModelSpec
from tasks.sandbox.protocol import Array
from tasks.targets.torch_target import TorchTarget
from tests.tasks.targets.models import description, digits, trained

EPOCHS = 5


class Work(NamedTuple):
    """A victim, what the thief owns, and what the copy is judged on."""

    target: TorchTarget
    pool: Array
    labels: Array
    held_out: Array
    held_labels: Array
    budget: int


class Copied(NamedTuple):
    """Classes that a copy names for the held-out inputs and for strangers."""

    held: Array
    away: Array
    queries: int
    passes: int
    more: dict[str, Any]


def digits_work() -> Work:
    target = TorchTarget(trained(), ModelSpec.model_validate(description()), kind="bench")
    train, test = digits()
    return Work(target, train.inputs, train.labels, test.inputs, test.labels, 1000)


def mnist_work() -> Work:
    folder = Path(os.environ["PROOFHOUSE_TEST_DATA"])
    network = nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10),
    )  # fmt: skip
    state = safetensors.torch.load_file(folder / "models" / "badnet_mnist_target1.safetensors")
    places = {"0": "conv1.0", "3": "conv2.0", "7": "fc1.0", "9": "fc2.0"}
    network.load_state_dict(
        {
            f"{place}.{kind}": state[f"{name}.{kind}"]
            for place, name in places.items()
            for kind in ("weight", "bias")
        }
    )
    spec = description(shape=(1, 28, 28), mean=[0.5], std=[0.5])
    target = TorchTarget(network, ModelSpec.model_validate(spec), kind="bench")
    table = np.load(folder / "mnist.npz", allow_pickle=False)
    x, y = table["x_train"][:5000], table["y_train"][:5000]
    held, truth = table["x_test"][:2000], table["y_test"][:2000]

    def shaped(raw: Array) -> Array:
        return (raw[:, None] / 255).astype(np.float32)

    return Work(target, shaped(x), y.astype(np.int64), shaped(held), truth.astype(np.int64), 5000)


WORKS: dict[str, Callable[[], Work]] = {"digits": digits_work, "mnist": mnist_work}


def asked_of(work: Work) -> Array:
    return np.concatenate([work.held_out, away_of(work)])


def away_of(work: Work) -> Array:
    return strangers(work.held_out, work.target.bounds, seed=0)


def cut(named: Array, work: Work) -> tuple[Array, Array]:
    return named[: len(work.held_out)], named[len(work.held_out) :]
