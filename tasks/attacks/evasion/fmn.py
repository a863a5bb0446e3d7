"""Fast minimum-norm attack: a ball that shrinks while broken and grows while not.

Source: Pintor et al. 2021, arXiv 2102.12827, algorithm 1 and section 2.2. Ours aims at the classes
that look nearest instead of the highest scored one, and walks every witness back at the end.
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
from tasks.attacks.evasion.norms import Norm, dual_lengths, lengths, projected
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

FIRST_STRIDE, LAST_STRIDE = 1.0, 0.01
"""alpha: length of a step, in input ranges."""
FIRST_GROWTH, LAST_GROWTH = 0.05, 0.001
"""gamma: by how much the ball changes in one step."""


def fmn(
    target: Target,
    *,
    norm: Norm = "l2",
    steps: int = 100,
    targets: int = 2,
    seed: int = 0,
    **points: Any,
) -> Reply:
    """Searches the smallest change of each point in ``norm``.

    Arguments (``inputs``, ``labels``, ``steps``, ``targets``, ``seed``), results and errors are
    those of :func:`tasks.attacks.evasion.nearest.smallest_changes`.
    """
    way = _FastMinimum(norm, target.bounds[1] - target.bounds[0], steps)
    return smallest_changes(target, way=way, steps=steps, targets=targets, seed=seed, **points)


class _FastMinimum:
    """A step downhill, then into a ball whose radius is the memory."""

    def __init__(self, norm: Norm, scale: float, steps: int) -> None:
        self.norm: Norm = norm
        self.scale, self.steps = scale, steps

    def begin(self, jobs: Jobs) -> torch.Tensor:
        """Starts without a ball."""
        return torch.full((len(jobs.labels),), torch.inf)

    def step(self, jobs: Jobs, here: Standing, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Shrinks the ball where the class was lost, grows it elsewhere."""
        found = here.found
        growth = annealed(FIRST_GROWTH, LAST_GROWTH, step, self.steps)
        reach = found.lead.abs() / dual_lengths(found.gradient, self.norm).clamp_min(1e-30)
        first_order = lengths(here.change, self.norm) + reach
        radius = _resized(here.memory, here.closest, found.broken, growth, first_order)
        way = downhill(found, jobs)
        way = way / wide(lengths(way, "l2").clamp_min(1e-30), way)
        stride = self.scale * annealed(FIRST_STRIDE, LAST_STRIDE, step, self.steps)
        moved = projected(here.change + stride * way, radius, self.norm)
        return jobs.kept_in_range(moved), radius

    def finish(self, target: Target, jobs: Jobs, closest: Closest) -> None:
        """Leaves witnesses as they are."""


def _resized(
    radius: torch.Tensor,
    closest: Closest,
    broken: torch.Tensor,
    growth: float,
    first_order: torch.Tensor,
) -> torch.Tensor:
    """Algorithm 1, lines 6 to 13; counts of changed values move by one at least (section 2.2)."""
    never = torch.isinf(closest.length)
    if closest.norm == "l0":
        grown = torch.maximum(radius + 1, (radius * (1 + growth)).floor())
        shrunk = torch.minimum(radius - 1, (radius * (1 - growth)).floor())
        first_order = first_order.ceil()
    else:
        grown, shrunk = radius * (1 + growth), radius * (1 - growth)
    growing = torch.maximum(first_order, torch.where(torch.isinf(radius), 0.0, grown))
    outside = torch.where(never, growing, grown)
    return torch.where(broken, torch.minimum(shrunk, closest.length), outside)
