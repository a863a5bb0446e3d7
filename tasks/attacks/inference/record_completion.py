"""Fills in the hidden part of records by following the model's gradient. Runs only in the child.

Model inversion with a prior: start from what anybody would impute, then make the model surer of the
known label without straying far.

Source: Fredrikson et al. 2015 (CCS), algorithm 1 (gradient inversion); the prior is a Gaussian
around the imputation, for pictures also small differences between neighbouring pixels.
"""

from collections.abc import Callable

import numpy as np
import torch

from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Images, Target

RATE = 0.02
"""Step of Adam, as a share of the input range."""
NEARNESS, SMOOTHNESS = 0.05, 0.02
"""How much the priors weigh beside the logarithm of the label's probability."""
CHUNK = 512


def record_completion(
    target: Target, *, inputs: Images, hidden: Array, labels: Array, steps: int
) -> Reply:
    """Returns the records with their hidden values moved.

    Args:
        target: The opened model, differentiable.
        inputs: Records with imputed hidden values (n, …), raw, within bounds.
        hidden: Which values may move (n, …), bool.
        labels: The known labels (n,).
        steps: Of gradient ascent. Cost: 2 * n * steps passes.

    Returns:
        ``arrays["completed"]`` (n, …) float32; ``values["passes"]`` and ``values["queries"]``.

    Raises:
        ValueError: The target has no gradients.
    """
    if target.module is None:
        raise ValueError("this target has no gradients")
    before = target.meter.passes
    parts = [
        _completed(
            target, inputs[at : at + CHUNK], hidden[at : at + CHUNK], labels[at : at + CHUNK], steps
        )
        for at in range(0, len(inputs), CHUNK)
    ]
    spent = target.meter.passes - before
    return Reply({"completed": np.concatenate(parts)}, {"passes": spent, "queries": spent // 2})


def _completed(target: Target, inputs: Images, hidden: Array, labels: Array, steps: int) -> Images:
    start = torch.from_numpy(inputs)
    wanted = torch.from_numpy(labels.astype(np.int64))

    def gradient(point: torch.Tensor, scale: float) -> torch.Tensor:
        return _gradient(target, point, start, wanted, scale)

    completed: Images = descended(
        start, torch.from_numpy(hidden), gradient, bounds=target.bounds, steps=steps
    ).numpy()
    return completed


def descended(
    start: torch.Tensor,
    free: torch.Tensor,
    gradient: Callable[[torch.Tensor, float], torch.Tensor],
    *,
    bounds: tuple[float, float],
    steps: int,
) -> torch.Tensor:
    """Returns ``start`` after so many steps of Adam against ``gradient``, within ``bounds``.

    Args:
        start: Records (n, …).
        free: Which values may move, of a shape that fits ``start``.
        gradient: Takes records and the width of the range; returns what to walk against.
        bounds: Lowest and highest value.
        steps: How many.
    """
    low, high = bounds
    moved = start.clone()
    slope, size = torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, steps + 1):
        against = gradient(moved, high - low)
        # Adam by hand: the library's would import compilers, which look like a model that digs.
        slope = 0.9 * slope + 0.1 * against
        size = 0.999 * size + 0.001 * against**2
        ahead = (slope / (1 - 0.9**step)) / ((size / (1 - 0.999**step)).sqrt() + 1e-8)
        stepped = (moved - RATE * (high - low) * ahead).clamp(low, high)
        moved = torch.where(free, stepped, start)
    return moved


def _gradient(
    target: Target, moved: torch.Tensor, start: torch.Tensor, wanted: torch.Tensor, scale: float
) -> torch.Tensor:
    assert target.module is not None
    point = moved.clone().requires_grad_()
    surprise = torch.nn.functional.cross_entropy(target.module(point), wanted, reduction="sum")
    far = ((point - start) / scale).square().sum()
    loss = surprise + NEARNESS * far + SMOOTHNESS * roughness(point, scale)
    (gradient,) = torch.autograd.grad(loss, point)
    return gradient


def roughness(moved: torch.Tensor, scale: float) -> torch.Tensor:
    """Returns how much neighbouring pixels differ, 0 for what is no picture."""
    if moved.ndim != 4:
        return moved.new_zeros(())
    down = (moved[:, :, 1:] - moved[:, :, :-1]).abs().sum()
    across = (moved[..., 1:] - moved[..., :-1]).abs().sum()
    return (down + across) / scale
