"""Victims that several tests of attacks share: trained digits, and linear models with an oracle."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.evasion.linear_control import linear_target
from tasks.attacks.evasion.norms import Norm
from tasks.domain.bundle import ModelSpec
from tasks.targets.protocol import Images, Labels, Target, predicted
from tasks.targets.torch_target import TorchTarget
from tests.tasks.targets.models import description, digits, trained


def victim(*, adversarial_epsilon: float = 0.0) -> TorchTarget:
    model = ModelSpec.model_validate(description())
    return TorchTarget(trained(adversarial_epsilon=adversarial_epsilon), model, kind="test")


def correct(target: Target, count: int = 40) -> tuple[Images, Labels]:
    inputs, labels = digits().test
    kept = np.flatnonzero(predicted(target, inputs) == labels)[:count]
    return inputs[kept], labels[kept]


class Linear(NamedTuple):
    """A linear model in [0, 1] whose nearest other class is known for every norm."""

    target: TorchTarget
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    inputs: Images
    labels: Labels

    def distances(self, norm: Norm) -> NDArray[np.float64]:
        wide = self.weights.astype(np.float64)
        scores = self.inputs.astype(np.float64) @ wide.T + self.bias
        rows = np.arange(len(self.labels))
        lead = scores[rows, self.labels][:, None] - scores
        slope = wide[self.labels][:, None] - wide[None]
        if norm == "l0":
            return _fewest(self.inputs, lead, slope)
        if norm == "l1":
            return _shortest_l1(self.inputs, lead, slope)
        dual = {"linf": 1, "l2": 2}[norm]
        size = np.linalg.norm(slope, dual, axis=2)
        reach = np.divide(lead, size, out=np.full_like(lead, np.inf), where=size > 0)
        nearest: NDArray[np.float64] = reach.min(axis=1)
        return nearest


def _fewest(
    inputs: Images, lead: NDArray[np.float64], slope: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each value gives at most what the end of the range gives; take the largest gains first."""
    gains = np.maximum(slope * inputs[:, None], -slope * (1 - inputs[:, None]))
    total = np.cumsum(-np.sort(-gains, axis=2), axis=2)
    enough = total > lead[:, :, None]
    counts = np.where(enough.any(axis=2), enough.argmax(axis=2) + 1, np.inf)
    fewest: NDArray[np.float64] = counts.min(axis=1)
    return fewest


def _shortest_l1(
    inputs: Images, lead: NDArray[np.float64], slope: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The steepest value goes to the end of its range, then the next one, and part of the last."""
    room = np.where(slope > 0, inputs[:, None], 1 - inputs[:, None])
    order = np.argsort(-np.abs(slope), axis=2)
    steep = np.take_along_axis(np.abs(slope), order, axis=2)
    room = np.take_along_axis(room, order, axis=2)
    before = np.cumsum(steep * room, axis=2) - steep * room
    needed = np.clip(lead[:, :, None] - before, 0, None)
    used = np.minimum(np.divide(needed, steep, out=np.zeros_like(steep), where=steep > 0), room)
    total = np.where((steep * used).sum(axis=2) >= lead - 1e-9, used.sum(axis=2), np.inf)
    shortest: NDArray[np.float64] = np.where(steep.max(axis=2) > 0, total, np.inf).min(axis=1)
    return shortest


def linear(*, points: int = 60, features: int = 30, classes: int = 5, scale: float = 1.0) -> Linear:
    rng = np.random.default_rng(3)
    weights = (scale * rng.normal(size=(classes, features))).astype(np.float32)
    bias = (scale * rng.normal(size=classes)).astype(np.float32)
    inputs = rng.uniform(0.35, 0.65, (points, features)).astype(np.float32)
    labels = (inputs @ weights.T + bias).argmax(axis=1).astype(np.int64)
    return Linear(linear_target(weights, bias), weights, bias, inputs, labels)
