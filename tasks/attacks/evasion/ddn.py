"""Decoupled direction and norm: the gradient says where to, a separate rule says how far (L2).

Source: Rony et al. 2019, arXiv 1811.09600, algorithm 1. Ours descends on the lead over the class
that looks nearest instead of cross-entropy, whose other classes pull the direction aside.
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
from tasks.attacks.evasion.norms import lengths
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

FIRST_RADIUS = 1.0
"""epsilon 0, in input ranges."""
FIRST_STRIDE, LAST_STRIDE = 1.0, 0.01
"""alpha, in input ranges."""
GROWTH = 0.05
"""gamma: by how much the radius changes in one step."""


def ddn(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    steps: int = 100,
    targets: int = 2,
    seed: int = 0,
) -> Reply:
    """Searches the change of smallest L2 length for each point.

    Arguments, results and errors are those of :func:`tasks.attacks.evasion.fmn.fmn`.
    """
    scale = target.bounds[1] - target.bounds[0]

    def descend(jobs: Jobs, closest: Closest) -> None:
        change = torch.zeros_like(jobs.clean)
        radius = torch.full((len(jobs.labels),), FIRST_RADIUS * scale)
        for step in range(steps):
            found = slopes(target, jobs, change)
            closest.note(change, found.broken)
            way = downhill(found, jobs)
            way = way / wide(lengths(way, "l2").clamp_min(1e-30), way)
            change = change + scale * annealed(FIRST_STRIDE, LAST_STRIDE, step, steps) * way
            radius = radius * torch.where(found.broken, 1 - GROWTH, 1 + GROWTH)
            onto = radius / lengths(change, "l2").clamp_min(1e-30)
            change = jobs.kept_in_range(change * wide(onto, change))
        closest.note(change, slopes(target, jobs, change).broken)

    return smallest_changes(
        target, inputs, labels, norm="l2", targets=targets, seed=seed, descend=descend
    )
