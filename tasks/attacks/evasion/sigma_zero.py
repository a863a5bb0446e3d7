"""Sigma-zero: fewest changed values, through a smooth stand-in for counting them (L0).

Source: Cinà et al. 2025 (ICLR), arXiv 2402.01879, algorithm 1, equations 5 and 6. Ours aims at
the class that looks nearest, and at the end takes back every change that is not needed.
"""

from typing import Any

import torch

from tasks.attacks.evasion.nearest import (
    Closest,
    Jobs,
    Slopes,
    Standing,
    annealed,
    lost,
    slopes,
    smallest_changes,
    wide,
)
from tasks.attacks.evasion.norms import Norm
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

SMOOTHING = 1e-3
"""sigma: how sharply a value counts as changed, in squared input ranges."""
FIRST_STRIDE = 1.0
"""eta 0: length of a step, in input ranges."""
FIRST_THRESHOLD, THRESHOLD_STEP = 0.3, 0.01
"""tau 0 and t: changes below the threshold (in input ranges) are dropped."""
TAKEN_BACK = 64
"""Most changes per point that are tried without at the end; each costs one forward."""


def sigma_zero(
    target: Target, *, steps: int = 200, targets: int = 2, seed: int = 0, **points: Any
) -> Reply:
    """Searches the fewest values to change for each point, each as far as the range allows.

    Arguments (``inputs``, ``labels``, ``steps``, ``targets``, ``seed``), results and errors are
    those of :func:`tasks.attacks.evasion.nearest.smallest_changes`.
    """
    way = _Sparse(target.bounds[1] - target.bounds[0], steps)
    return smallest_changes(target, way=way, steps=steps, targets=targets, seed=seed, **points)


class _Sparse:
    """A step downhill, then without the changes below a threshold, which is the memory."""

    norm: Norm = "l0"

    def __init__(self, scale: float, steps: int) -> None:
        self.scale, self.steps = scale, steps

    def begin(self, jobs: Jobs) -> torch.Tensor:
        """Starts with the same threshold everywhere."""
        return torch.full((len(jobs.labels),), FIRST_THRESHOLD)

    def step(self, jobs: Jobs, here: Standing, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Raises the threshold where the class was lost, lowers it elsewhere."""
        stride = annealed(FIRST_STRIDE, 0.0, step, self.steps)
        turn = torch.where(here.found.broken, 1.0, -1.0)
        threshold = here.memory + turn * THRESHOLD_STEP * stride
        way = _objective_slope(here.found, jobs, here.change / self.scale)
        moved = jobs.kept_in_range(here.change - self.scale * stride * way)
        dropped = moved.abs() < wide(threshold.clamp_min(0) * self.scale, moved)
        return torch.where(dropped, 0.0, moved), threshold

    def finish(self, target: Target, jobs: Jobs, closest: Closest) -> None:
        """Takes back every change that is not needed."""
        _take_back(target, jobs, closest)


def _objective_slope(found: Slopes, jobs: Jobs, change: torch.Tensor) -> torch.Tensor:
    """Returns the slope of lead plus smooth count, its largest value one (equation 5)."""
    size = change[0].numel() if len(change) else 1
    counting = 2 * change * SMOOTHING / (change.square() + SMOOTHING).square() / size
    leading = torch.where(wide(found.lead > 0, change), found.gradient, 0.0)
    flat = (found.lead > 0) & (leading.flatten(1).abs().amax(dim=1) == 0)
    slope = torch.where(wide(flat, change), jobs.random, leading + counting)
    return slope / wide(slope.flatten(1).abs().amax(dim=1).clamp_min(1e-30), slope)


def _take_back(target: Target, jobs: Jobs, closest: Closest) -> None:
    """Pushes the kept changes to the end of the range, then tries without each, smallest first."""
    assert target.module is not None
    rows = torch.arange(len(jobs.labels))
    known = torch.isfinite(closest.length)
    found = slopes(target, jobs, closest.change)
    ends = torch.where(found.gradient > 0, jobs.low, jobs.high) - jobs.clean
    pushed = torch.where(closest.change != 0, ends, 0.0)
    with torch.no_grad():
        falls = lost(target.module(jobs.clean + pushed), jobs.labels)
        change = torch.where(wide(known & falls, pushed), pushed, closest.change).flatten(1)
        gain = (change * found.gradient.flatten(1)).abs()
        order = torch.where(change != 0, gain, torch.inf).argsort(dim=1)
        for place in order.T[:TAKEN_BACK]:
            without = change.clone()
            without[rows, place] = 0
            moved = jobs.clean + without.reshape(jobs.clean.shape)
            kept = known & lost(target.module(moved), jobs.labels) & (change[rows, place] != 0)
            change = torch.where(kept[:, None], without, change)
            closest.note(change.reshape(jobs.clean.shape), known)
