"""Measures again, outside the child, what an attack of any kind claims.

The child says which inputs it moved where; this side believes nothing of it. A witness counts when
it lies in the range, obeys the rule of its attack, and when the target, asked afresh, answers
another class.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.checks.evasion.cascade import SLACK, answers, budget_of, fitting
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.domain.bundle import InputSpec
from tasks.sandbox.protocol import Array

Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]
REVEALING = {
    "labels": ("labels", "scores", "gradients"),
    "scores": ("scores", "gradients"),
    "gradients": ("gradients",),
}


class Population(NamedTuple):
    """Labelled inputs, how the target reads them unmoved, and what inputs may look like."""

    inputs: Array
    labels: Array
    predicted: Array
    spec: InputSpec
    low: float
    high: float
    whole: bool
    described: dict[str, Any]

    @property
    def correct(self) -> Flags:
        """Answers which inputs are read correctly; the others need no attack."""
        correct: Flags = self.predicted == self.labels
        return correct

    @property
    def span(self) -> float:
        """The width of the input range, in raw units."""
        return self.high - self.low

    @property
    def access(self) -> str:
        """How much the target reveals."""
        return str(self.described["access"])


class Judged(NamedTuple):
    """What holds of claimed witnesses, in the order in which they were claimed."""

    moved: Array
    held: Flags
    read: Array
    escaped: int
    """How many claims left range or rule; they count for nothing."""


def population(lab: Lab, *, points: int, access: str) -> Population:
    """Draws labelled inputs, opens the target and asks it about them.

    Args:
        lab: Bench.
        points: Most inputs to draw.
        access: What the target must reveal at least.

    Raises:
        NotApplicable: The bundle describes no classifier with a fixed input.
        NotAvailable: Data are missing or do not fit, or the target reveals too little.
    """
    model = lab.subject.spec.model
    if model.input is None or model.output is None or model.output.classes is None:
        raise NotApplicable("the bundle describes no classifier with a fixed input")
    examples = fitting(lab.sample("evaluation", points), model.input, model.output.classes)
    described = lab.target()
    if described["access"] not in REVEALING[access]:
        raise NotAvailable(f"the model reveals only {described['access']}; {access} are needed")
    budget = budget_of(model.input, 0)
    return Population(
        examples.inputs,
        examples.labels,
        answers(lab, examples.inputs).argmax(axis=1),
        model.input,
        budget.low,
        budget.high,
        budget.whole,
        described,
    )


def judged(
    lab: Lab, people: Population, rows: Rows, claimed: Array, *, obeys: Flags | None = None
) -> Judged:
    """Asks the target afresh about claimed witnesses.

    Args:
        lab: Bench with an opened target.
        people: Whom the witnesses come from.
        rows: Whose witness each claim is (k,).
        claimed: Moved inputs (k, …), raw.
        obeys: Which claims obey the attack's own rule (k,); all by default.
    """
    clean = people.inputs[rows]
    if claimed.shape != clean.shape:
        return Judged(clean, np.zeros(len(rows), bool), people.predicted[rows], len(rows))
    flat = claimed.reshape(len(rows), people.inputs[0].size).astype(np.float64)
    slack = SLACK * people.span
    with np.errstate(invalid="ignore"):
        inside = ((flat >= people.low - slack) & (flat <= people.high + slack)).all(axis=1)
    obeying = inside if obeys is None else inside & obeys
    moved = np.where(obeying.reshape(-1, *(1,) * (clean.ndim - 1)), claimed, clean)
    moved = np.clip(np.round(moved) if people.whole else moved, people.low, people.high)
    moved = moved.astype(np.float32)
    read = people.predicted[rows].copy()
    changed = (moved != clean).reshape(len(rows), people.inputs[0].size).any(axis=1)
    if changed.any():
        read[changed] = answers(lab, moved[changed]).argmax(axis=1)
    held: Flags = changed & (read != people.labels[rows])
    return Judged(moved, held, read, int((~obeying).sum()))


def distances(moved: Array, clean: Array, norm: str) -> Array:
    """Returns how far each input was moved (n,), in raw units; ``l0`` counts values."""
    change = (moved.astype(np.float64) - clean).reshape(len(moved), int(np.prod(clean.shape[1:])))
    if norm == "l0":
        return np.asarray((change != 0).sum(axis=1), dtype=np.float64)
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    size: Array = np.linalg.norm(change, order, axis=1)
    return size


def about_escapes(escaped: int) -> list[str]:
    """Reports claims that left range or rule; they were thrown away."""
    if not escaped:
        return []
    return [f"{escaped} claimed witnesses left the range or broke the rule and were not counted"]
