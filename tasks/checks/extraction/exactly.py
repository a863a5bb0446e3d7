"""Rows, answers and controls that the checks of exact extraction share."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from tasks.attacks.extraction.strangers import strangers
from tasks.checks.evasion.cascade import answers, budget_of, fitting
from tasks.checks.extraction.agreement import rate
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.domain.measurement import Control
from tasks.sandbox.protocol import Array

FEWEST_ROWS = 40
NETWORKS = frozenset({".safetensors", ".onnx", ".pt", ".pt2"})
TOLERANCE = 1e-3
"""Difference of probabilities that still counts as the same answer."""
SAME = 0.9
"""Part of the answers from which a control counts as recovered."""

Copied = Callable[[Mapping[str, Array], Array], Array]
"""What the copy in a reply's arrays answers to flattened inputs: scores, NaN where nothing."""


class Rows(NamedTuple):
    """What the thief starts from, and what the copy is judged on."""

    pool: Array
    asked: Array
    """Held-out inputs, then as many strangers."""
    truth: Array
    """What the model answers to ``asked``: scores."""
    held: int

    @property
    def flat(self) -> Array:
        """``asked`` as rows of numbers."""
        flat: Array = self.asked.reshape(len(self.asked), -1)
        return flat


def rows_of(lab: Lab) -> Rows:
    """Opens the target and asks it about inputs that the thief will not have asked.

    Raises:
        NotApplicable: It is a network, or no classifier.
        NotAvailable: There are too few rows.
    """
    model = lab.subject.spec.model
    if model.input is None or model.output is None or model.output.classes is None:
        raise NotApplicable("the bundle describes no classifier with a fixed input")
    suffix = PurePosixPath(model.artifact or "").suffix.lower()
    if suffix in NETWORKS and not lab.count("networks"):
        raise NotApplicable(f"a {suffix} file holds a network; extraction.fidelity copies those")
    examples = fitting(
        lab.sample("evaluation", lab.count("rows")), model.input, model.output.classes
    )
    if len(examples.labels) < FEWEST_ROWS:
        raise NotAvailable(f"{len(examples.labels)} rows are too few, {FEWEST_ROWS} are needed")
    lab.target()
    half = len(examples.labels) // 2
    held, budget = examples.inputs[half:], budget_of(model.input, 0)
    away = strangers(held, (budget.low, budget.high), seed=lab.seed)
    asked = np.concatenate([held, away])
    return Rows(examples.inputs[:half], asked, answers(lab, asked), len(held))


def same_answers(copied: Array, truth: Array, *, labels_only: bool) -> Array:
    """Answers for which inputs the copy says what the model says (n,)."""
    if copied.shape != truth.shape:
        return np.zeros(len(truth), dtype=bool)
    known: Array = np.asarray(np.isfinite(copied).all(axis=1))
    filled = np.where(known[:, None], copied, 0)
    if labels_only:
        same: Array = known & (filled.argmax(axis=1) == truth.argmax(axis=1))
        return same
    close = np.abs(probabilities(filled) - probabilities(truth)).max(axis=1) <= TOLERANCE
    found: Array = known & close
    return found


def probabilities(scores: Array) -> Array:
    """Returns softmax of scores (n, classes) in float64."""
    raised = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    summed: Array = raised / raised.sum(axis=1, keepdims=True)
    return summed


def controls(
    lab: Lab,
    rows: Rows,
    copied: Copied,
    *,
    attack: str,
    planted: str,
    clean: str,
    labels_only: bool = False,
) -> tuple[Control, Control]:
    """Runs the attack on a victim that it must recover, and on one that it cannot."""
    reply = lab.run(
        "attacks.extraction.known_victims",
        {"pool": rows.pool, "held_out": rows.asked},
        attack=attack,
        planted=planted,
        clean=clean,
        budget=lab.count("queries"),
        seed=lab.seed,
    )

    def control(role: str, name: str) -> Control:
        start = f"{role}_"
        arrays = {
            key.removeprefix(start): value
            for key, value in reply.arrays.items()
            if key.startswith(start)
        }
        copy = copied(arrays, rows.flat)
        same = rate(same_answers(copy, arrays["scores"], labels_only=labels_only))
        return Control(
            name=f"{name} victim",
            planted=role == "planted",
            found=same.low > SAME,
            estimate=same,
            detail=f"the copy gives the same answer to {same.value:.1%} of {same.n} inputs",
        )

    return control("planted", planted), control("clean", clean)
