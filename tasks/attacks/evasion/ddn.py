"""Decoupled direction and norm: the gradient says where to, a separate rule says how far (L2).

Source: Rony et al. 2019, arXiv 1811.09600, algorithm 1. Ours descends on the lead over the class
that looks nearest instead of cross-entropy, whose other classes pull the direction aside.
"""

from typing import Any

import torch

from tasks.attacks.evasion.nearest import (
    Closest,
    Jobs,
    Standing,
    annealed,
    downhill,
    smallest_changes,
    wide,
)
from tasks.attacks.evasion.norms import Norm, lengths
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

FIRST_RADIUS = 1.0
"""epsilon 0, in input ranges."""
FIRST_STRIDE, LAST_STRIDE = 1.0, 0.01
"""alpha, in input ranges."""
GROWTH = 0.05
"""gamma: by how much the radius changes in one step."""


def ddn(
    target: Target, *, steps: int = 100, targets: int = 2, seed: int = 0, **points: Any
) -> Reply:
    """Searches the change of smallest L2 length for each point.

    Arguments (``inputs``, ``labels``, ``steps``, ``targets``, ``seed``), results and errors are
    those of :func:`tasks.attacks.evasion.nearest.smallest_changes`.
    """
    way = _Decoupled(target.bounds[1] - target.bounds[0], steps)
    return smallest_changes(target, way=way, steps=steps, targets=targets, seed=seed, **points)


class _Decoupled:
    """A step downhill, then onto a sphere whose radius is the memory."""

    norm: Norm = "l2"

    def __init__(self, scale: float, steps: int) -> None:
        self.scale, self.steps = scale, steps

    def begin(self, jobs: Jobs) -> torch.Tensor:
        """Starts with the same radius everywhere."""
        return torch.full((len(jobs.labels),), FIRST_RADIUS * self.scale)

    def step(self, jobs: Jobs, here: Standing, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Shrinks the sphere where the class was lost, grows it elsewhere."""
        way = downhill(here.found, jobs)
        way = way / wide(lengths(way, "l2").clamp_min(1e-30), way)
        stride = self.scale * annealed(FIRST_STRIDE, LAST_STRIDE, step, self.steps)
        change = here.change + stride * way
        radius = here.memory * torch.where(here.found.broken, 1 - GROWTH, 1 + GROWTH)
        onto = radius / lengths(change, "l2").clamp_min(1e-30)
        return jobs.kept_in_range(change * wide(onto, change)), radius

    def finish(self, target: Target, jobs: Jobs, closest: Closest) -> None:
        """Leaves witnesses as they are."""
