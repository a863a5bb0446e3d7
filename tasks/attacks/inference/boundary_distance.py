"""Membership by labels alone: members lie farther from the decision boundary.

Runs only in the sandbox child. Source: Choquette-Choo et al. 2021, arXiv 2007.14321, section 3;
the distance is an upper bound along random directions, found by bisection, not by an optimiser.
"""

import numpy as np

from tasks.sandbox.protocol import Array, Reply
from tasks.statistics.intervals import Floats
from tasks.targets.protocol import Images, Target, predicted

HALVINGS = 6
"""The radius is known to 1 / 64 of the input range's diagonal afterwards."""


def boundary_distance(
    target: Target, *, inputs: Images, labels: Array, directions: int, seed: int
) -> Reply:
    """Returns how far each item is from losing its label, 0 where it never had it.

    Args:
        target: The opened model; only its labels are looked at.
        inputs: Raw items (items, …).
        labels: True classes (items,).
        directions: Random directions for each item, the same for all.
            Cost: items * (1 + directions * (1 + HALVINGS)) queries at most.
        seed: Seeds the directions.

    Returns:
        ``arrays["signal"]`` (items,) float64: mean distance over directions as a share of the
        longest one; ``values["queries"]`` and ``values["passes"]``.
    """
    before, counted = target.meter.passes, [0]
    rng = np.random.default_rng(seed)
    right = _right(target, inputs, labels, counted)
    total = np.zeros(len(inputs))
    known = np.flatnonzero(right)
    for _ in range(directions if len(known) else 0):
        step = rng.normal(size=inputs.shape[1:])
        step *= np.sqrt(step.size) / np.linalg.norm(step) * (target.bounds[1] - target.bounds[0])
        total[known] += _radius(target, inputs[known], labels[known], step, counted)
    return Reply(
        {"signal": total / max(directions, 1)},
        {"passes": target.meter.passes - before, "queries": counted[0]},
    )


def _radius(
    target: Target, inputs: Images, labels: Array, step: Floats, counted: list[int]
) -> Floats:
    """Returns the largest share of ``step`` that surely keeps the label, item by item."""
    inside, outside = np.zeros(len(inputs)), np.ones(len(inputs))
    shape = (-1,) + (1,) * (inputs.ndim - 1)
    low, high = target.bounds

    def kept(share: Floats) -> Array:
        moved = np.clip(inputs + share.reshape(shape) * step, low, high).astype(np.float32)
        return _right(target, moved, labels, counted)

    inside[kept(outside)] = 1.0
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        still = kept(middle)
        inside = np.where(still, middle, inside)
        outside = np.where(still, outside, middle)
    return inside


def _right(target: Target, inputs: Images, labels: Array, counted: list[int]) -> Array:
    counted[0] += len(inputs)
    right: Array = predicted(target, inputs) == labels
    return right
