"""One population of points under one attack after another, with every claim measured again.

The child says which points it broke; this side believes nothing of it. A witness counts when it
lies in the ball and in the range, and when the target, asked afresh, answers another class.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.bundle import InputSpec
from tasks.sandbox.protocol import Array, Reply

Flags = NDArray[np.bool_]
SLACK = 1e-5
"""Rounding that a change may show, as a fraction of the input range."""


class Budget(NamedTuple):
    """The change that is allowed, and the range that inputs stay in (raw units)."""

    epsilon: float
    low: float
    high: float
    whole: bool
    """Inputs are whole numbers (uint8): a change that rounding undoes is no attack."""

    def enforced(self, moved: Array, clean: Array) -> Array:
        """Returns ``moved`` inside the ball around ``clean``, and whole where inputs are."""
        change = np.clip(moved.astype(np.float64) - clean, -self.epsilon, self.epsilon)
        if self.whole:
            change = np.trunc(change)
        return np.clip(clean + change, self.low, self.high).astype(np.float32)

    def exceeded(self, moved: Array, clean: Array) -> Flags:
        """Answers for each item whether it was moved further than allowed (n,)."""
        slack = SLACK * (self.high - self.low)
        flat = moved.astype(np.float64).reshape(len(moved), -1)
        far = np.abs(flat - clean.reshape(len(moved), -1)).max(axis=1) > self.epsilon + slack
        outside = (flat.min(axis=1) < self.low - slack) | (flat.max(axis=1) > self.high + slack)
        exceeded: Flags = far | outside | ~np.isfinite(flat).all(axis=1)
        return exceeded


class Stage(NamedTuple):
    """What one attack did: how many points fell, and its own reply (None if nothing stood)."""

    fell: int
    reply: Reply | None


class Cascade:
    """Points of one data set, which of them still stand, and the witnesses of those that fell.

    Args:
        lab: Bench with an opened target.
        examples: Labelled inputs that fit the target.
        predicted: What the target answers to them, unmoved.
        budget: What every attack may change.
    """

    def __init__(self, lab: Lab, examples: Examples, predicted: Array, budget: Budget) -> None:
        self.lab, self.budget = lab, budget
        self.inputs, self.labels = examples
        self.predicted = predicted
        self.correct: Flags = self.predicted == self.labels
        self.standing = self.correct.copy()
        self.witnesses = self.inputs.copy()
        self.read = self.predicted.copy()
        self.fell_to: dict[str, int] = {}
        self.escaped_budget = 0

    def under(self, epsilon: float, standing: Flags) -> "Cascade":
        """Returns a fresh cascade over the same points, of which only some still stand."""
        examples = Examples(self.inputs, self.labels)
        fresh = Cascade(self.lab, examples, self.predicted, self.budget._replace(epsilon=epsilon))
        fresh.standing = standing.copy()
        return fresh

    def attack(
        self, stage: str, procedure: str, *, among: Flags | None = None, **values: Any
    ) -> Stage:
        """Attacks the points that still stand (within ``among``) and keeps verified witnesses."""
        rows = np.flatnonzero(self.standing if among is None else self.standing & among)
        if not len(rows):
            return Stage(0, None)
        reply = self.lab.run(
            procedure,
            {"inputs": self.inputs[rows], "labels": self.labels[rows]},
            epsilon=self.budget.epsilon,
            seed=self.lab.seed,
            **values,
        )
        fell = self._verified(rows, reply.arrays["candidates"])
        self.fell_to[stage] = self.fell_to.get(stage, 0) + fell
        return Stage(fell, reply)

    def _verified(self, rows: NDArray[np.int64], candidates: Array) -> int:
        """Lets points fall whose candidate holds, asked afresh; returns how many."""
        clean = self.inputs[rows]
        if candidates.shape != clean.shape:
            self.escaped_budget += len(rows)
            return 0
        exceeded = self.budget.exceeded(candidates, clean)
        self.escaped_budget += int(exceeded.sum())
        moved = self.budget.enforced(np.where(np.isfinite(candidates), candidates, clean), clean)
        tried = ~exceeded & (moved != clean).reshape(len(rows), -1).any(axis=1)
        if not tried.any():
            return 0
        read = answers(self.lab, moved[tried]).argmax(axis=1)
        held = read != self.labels[rows[tried]]
        fallen = rows[tried][held]
        self.standing[fallen] = False
        self.witnesses[fallen] = moved[tried][held]
        self.read[fallen] = read[held]
        return len(fallen)


def answers(lab: Lab, inputs: Array) -> Array:
    """Returns fresh scores (n, classes) for raw inputs."""
    return lab.run("targets.querying.scores", {"inputs": inputs}).arrays["scores"]


def budget_of(spec: InputSpec, fraction: float) -> Budget:
    """Turns a fraction of the input range into a budget in raw units."""
    low, high = spec.range
    if spec.dtype == "uint8" and spec.range == (0.0, 1.0):
        low, high = 0.0, 255.0
    return Budget(fraction * (high - low), low, high, whole=spec.dtype == "uint8")


def fitting(examples: Examples, spec: InputSpec, classes: int) -> Examples:
    """Returns the examples in the shape the model takes.

    Raises:
        NotAvailable: Shape, range or labels do not belong to this model; says which.
    """
    inputs, labels = np.asarray(examples.inputs), np.asarray(examples.labels)
    shape = tuple(inputs.shape[1:])
    if [side for side in shape if side > 1] != [side for side in spec.shape if side > 1]:
        raise NotAvailable(f"the data's items are {shape}, the model takes {spec.shape}")
    if not len(labels):
        raise NotAvailable("the evaluation data has no rows")
    budget = budget_of(spec, 0)
    slack = SLACK * (budget.high - budget.low)
    least, most = float(inputs.min()), float(inputs.max())
    if not (budget.low - slack <= least and most <= budget.high + slack):
        raise NotAvailable(
            f"the data lies in {least:.4g}..{most:.4g}, the bundle says "
            f"{budget.low:.4g}..{budget.high:.4g}: correct model.input.range"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise NotAvailable(f"labels are {labels.min()}..{labels.max()}, not 0..{classes - 1}")
    shaped = np.clip(inputs.reshape(len(labels), *spec.shape), budget.low, budget.high)
    return Examples(shaped.astype(np.float32), labels.astype(np.int64))
