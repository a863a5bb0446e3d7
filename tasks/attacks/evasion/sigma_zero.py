"""Sigma-zero: fewest changed values, through a smooth stand-in for counting them (L0).

Source: Cinà et al. 2025 (ICLR), arXiv 2402.01879, algorithm 1, equations 5 and 6. Ours aims at
the class that looks nearest, and at the end takes back every change that is not needed.
"""

import torch

from tasks.attacks.evasion.nearest import (
    Closest,
    Jobs,
    Slopes,
    annealed,
    lost,
    slopes,
    smallest_changes,
    wide,
)
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

SMOOTHING = 1e-3
"""sigma: how sharply a value counts as changed, in squared input ranges."""
FIRST_STRIDE = 1.0
"""eta 0: length of a step, in input ranges."""
FIRST_THRESHOLD, THRESHOLD_STEP = 0.3, 0.01
"""tau 0 and t: changes below the threshold (in input ranges) are dropped."""
TAKEN_BACK = 64
"""Most changes per point that are tried without at the end; each costs one forward."""


def sigma_zero(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    steps: int = 200,
    targets: int = 2,
    seed: int = 0,
) -> Reply:
    """Searches the fewest values to change for each point, each as far as the range allows.

    Arguments, results and errors are those of :func:`tasks.attacks.evasion.fmn.fmn`.
    """
    scale = target.bounds[1] - target.bounds[0]

    def descend(jobs: Jobs, closest: Closest) -> None:
        change = torch.zeros_like(jobs.clean)
        threshold = torch.full((len(jobs.labels),), FIRST_THRESHOLD)
        for step in range(steps):
            found = slopes(target, jobs, change)
            closest.note(change, found.broken)
            stride = annealed(FIRST_STRIDE, 0.0, step, steps)
            threshold = threshold + torch.where(found.broken, 1.0, -1.0) * THRESHOLD_STEP * stride
            way = _objective_slope(found, jobs, change / scale)
            moved = jobs.kept_in_range(change - scale * stride * way)
            dropped = moved.abs() < wide(threshold.clamp_min(0) * scale, moved)
            change = torch.where(dropped, 0.0, moved)
        closest.note(change, slopes(target, jobs, change).broken)
        _take_back(target, jobs, closest)

    return smallest_changes(
        target, inputs, labels, norm="l0", targets=targets, seed=seed, descend=descend
    )


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
