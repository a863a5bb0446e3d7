"""Fast minimum-norm attack: a ball that shrinks while broken and grows while not.

Source: Pintor et al. 2021, arXiv 2102.12827, algorithm 1 and section 2.2. Ours aims at the classes
that look nearest instead of the highest scored one, and walks every witness back at the end.
"""

import torch

from tasks.attacks.evasion.nearest import (
    Closest,
    Jobs,
    annealed,
    downhill,
    slopes,
    smallest_changes,
    wide,
)
from tasks.attacks.evasion.norms import Norm, dual_lengths, lengths, projected
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

FIRST_STRIDE, LAST_STRIDE = 1.0, 0.01
"""alpha: length of a step, in input ranges."""
FIRST_GROWTH, LAST_GROWTH = 0.05, 0.001
"""gamma: by how much the ball changes in one step."""


def fmn(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    norm: Norm = "l2",
    steps: int = 100,
    targets: int = 2,
    seed: int = 0,
) -> Reply:
    """Searches the smallest change of each point.

    Args:
        target: Victim that reveals gradients.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        norm: What to make small.
        steps: Steps per point and aim; each costs one forward and one backward.
        targets: Most wrong classes to aim at.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        See :func:`tasks.attacks.evasion.nearest.smallest_changes`.
    """
    scale = target.bounds[1] - target.bounds[0]

    def descend(jobs: Jobs, closest: Closest) -> None:
        change = torch.zeros_like(jobs.clean)
        radius = torch.full((len(jobs.labels),), torch.inf)
        for step in range(steps):
            found = slopes(target, jobs, change)
            closest.note(change, found.broken)
            growth = annealed(FIRST_GROWTH, LAST_GROWTH, step, steps)
            reach = found.lead.abs() / dual_lengths(found.gradient, norm).clamp_min(1e-30)
            first_order = lengths(change, norm) + reach
            radius = _resized(radius, closest, found.broken, growth, first_order)
            way = downhill(found, jobs)
            way = way / wide(lengths(way, "l2").clamp_min(1e-30), way)
            stride = scale * annealed(FIRST_STRIDE, LAST_STRIDE, step, steps)
            change = jobs.kept_in_range(projected(change + stride * way, radius, norm))
        closest.note(change, slopes(target, jobs, change).broken)

    return smallest_changes(
        target, inputs, labels, norm=norm, targets=targets, seed=seed, descend=descend
    )


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
