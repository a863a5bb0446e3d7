"""One population of points under one attack after another, with every claim measured again.

The child says which points it broke; this side believes nothing of it. A witness counts when it
lies in the ball and in the range, and when the target, asked afresh, answers another class.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.bundle import InputSpec
from tasks.sandbox.protocol import Array, Reply

Flags = NDArray[np.bool_]
SLACK = 1e-5
"""Rounding that a change may show, as a fraction of the input range."""


CARRIED = ("scores", "standing", "witnesses", "read", "heights", "aimed", "flat")
"""What a cascade knows of its points: one row of each per point."""


class Budget(NamedTuple):
    """The change that is allowed, and the range that inputs stay in (raw units)."""

    epsilon: float
    low: float
    high: float
    whole: bool
    """Inputs are whole numbers (uint8): a change that rounding undoes is no attack."""
    norm: str = "linf"
    """How a change is measured: ``linf`` by its largest value, ``l2`` by its length."""

    def enforced(self, moved: Array, clean: Array) -> Array:
        """Returns ``moved`` inside the ball around ``clean``, and whole where inputs are."""
        change = moved.astype(np.float64) - clean
        if self.norm == "l2":
            length = _lengths(change).reshape(-1, *(1,) * (change.ndim - 1))
            change *= np.minimum(1, self.epsilon / np.maximum(length, np.finfo(np.float64).tiny))
        else:
            change = np.clip(change, -self.epsilon, self.epsilon)
        if self.whole:
            change = np.trunc(change)
        return np.clip(clean + change, self.low, self.high).astype(np.float32)

    def exceeded(self, moved: Array, clean: Array) -> Flags:
        """Answers for each item whether it was moved further than allowed (n,)."""
        slack = SLACK * (self.high - self.low)
        flat = moved.astype(np.float64).reshape(len(moved), -1)
        change = flat - clean.reshape(len(moved), -1)
        reach = _lengths(change) if self.norm == "l2" else np.abs(change).max(axis=1)
        outside = (flat.min(axis=1) < self.low - slack) | (flat.max(axis=1) > self.high + slack)
        exceeded: Flags = (
            ~(reach <= self.epsilon + slack) | outside | ~np.isfinite(flat).all(axis=1)
        )
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
        scores: What the target answers to them, unmoved (n, classes).
        budget: What every attack may change.
    """

    def __init__(self, lab: Lab, examples: Examples, scores: Array, budget: Budget) -> None:
        self.lab, self.budget, self.scores = lab, budget, scores
        self.inputs, self.labels = examples
        self.predicted = scores.argmax(axis=1)
        self.correct: Flags = self.predicted == self.labels
        self.standing = self.correct.copy()
        self.witnesses = self.inputs.copy()
        self.read = self.predicted.copy()
        self.leads = _leads(scores, self.labels)
        self.heights = -self.leads
        self.aimed = np.full(scores.shape, -np.inf)
        self.flat: Flags = np.zeros(len(self.labels), dtype=bool)
        self.fell_to: dict[str, int] = {}
        self.escaped_budget = 0

    def under(self, epsilon: float, standing: Flags) -> "Cascade":
        """Returns a fresh cascade over the same points, of which only some still stand."""
        examples = Examples(self.inputs, self.labels)
        fresh = Cascade(self.lab, examples, self.scores, self.budget._replace(epsilon=epsilon))
        fresh.standing = standing.copy()
        return fresh

    def outcome(self) -> Reply:
        """Returns all that is known of these points, so that another process can go on with it."""
        arrays = {name: getattr(self, name) for name in CARRIED}
        return Reply(arrays, {"fell_to": self.fell_to, "escaped_budget": self.escaped_budget})

    @classmethod
    def of(cls, lab: Lab, examples: Examples, outcomes: Sequence[Reply], budget: Budget) -> Self:
        """Returns the cascade over all points of ``outcomes``, in their order."""
        parts = {name: np.concatenate([each.arrays[name] for each in outcomes]) for name in CARRIED}
        whole = cls(
            lab,
            Examples(*(rows[: len(parts["scores"])] for rows in examples)),
            parts["scores"],
            budget,
        )
        for name, array in parts.items():
            setattr(whole, name, array)
        for each in outcomes:
            whole.escaped_budget += int(each.values["escaped_budget"])
            for stage, fell in each.values["fell_to"].items():
                whole.fell_to[stage] = whole.fell_to.get(stage, 0) + int(fell)
        return whole

    def near(self, share: float) -> Flags:
        """Marks points that stand with at most ``share`` of their lead left (n,)."""
        near: Flags = self.standing & (-self.heights <= share * self.leads)
        return near

    def attack(
        self,
        stage: str,
        procedure: str,
        *,
        among: Flags | None = None,
        beside: Mapping[str, Array] | None = None,
        **values: Any,
    ) -> Stage:
        """Attacks the points that still stand (within ``among``) and keeps verified witnesses.

        ``beside`` holds further arrays with one row per point of the cascade.
        """
        rows = np.flatnonzero(self.standing if among is None else self.standing & among)
        if not len(rows):
            return Stage(0, None)
        given = {"inputs": self.inputs, "labels": self.labels, **(beside or {})}
        reply = self.lab.run(
            procedure,
            {name: array[rows] for name, array in given.items()},
            **{"epsilon": self.budget.epsilon, "seed": self.lab.seed, **values},
        )
        self._learn(rows, reply)
        return Stage(self.confront(stage, rows, reply.arrays["candidates"]), reply)

    def confront(self, stage: str, rows: NDArray[np.int64], candidates: Array) -> int:
        """Lets those of ``rows`` fall whose candidate holds, asked afresh; returns how many."""
        fell = self._verified(rows, candidates)
        self.fell_to[stage] = self.fell_to.get(stage, 0) + fell
        return fell

    def _learn(self, rows: NDArray[np.int64], reply: Reply) -> None:
        """Keeps what the child says of how near it came: it steers effort and decides nothing."""
        heights, aimed, flat = (reply.arrays.get(name) for name in ("margins", "aimed", "flat"))
        if heights is not None and heights.shape == (len(rows),):
            self.heights[rows] = np.fmax(self.heights[rows], heights)
        if aimed is not None and aimed.shape == (len(rows), self.scores.shape[1]):
            self.aimed[rows] = np.fmax(self.aimed[rows], aimed)
        if flat is not None and flat.shape == (len(rows),):
            self.flat[rows] |= flat.astype(bool)

    def _verified(self, rows: NDArray[np.int64], candidates: Array) -> int:
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


def _leads(scores: Array, labels: Array) -> NDArray[np.float64]:
    """Returns how far the true class leads (n,); below zero means another class wins."""
    others = scores.astype(np.float64)
    rows = np.arange(len(labels))
    own = others[rows, labels].copy()
    others[rows, labels] = -np.inf
    leads: NDArray[np.float64] = own - others.max(axis=1)
    return leads


def _lengths(change: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(change.reshape(len(change), -1), axis=1)
    return lengths


def answers(lab: Lab, inputs: Array) -> Array:
    """Returns fresh scores (n, classes) for raw inputs."""
    return lab.run("targets.querying.scores", {"inputs": inputs}).arrays["scores"]


def budget_of(spec: InputSpec, fraction: float, norm: str = "linf") -> Budget:
    """Turns a fraction of the input range into a budget in raw units."""
    low, high = spec.range
    if spec.dtype == "uint8" and spec.range == (0.0, 1.0):
        low, high = 0.0, 255.0
    whole, epsilon = spec.dtype == "uint8", fraction * (high - low)
    if whole and norm == "linf":
        epsilon = float(np.floor(epsilon + SLACK))  # no value can change by a fraction
    return Budget(epsilon, low, high, whole=whole, norm=norm)


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
