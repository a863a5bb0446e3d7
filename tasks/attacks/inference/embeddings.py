"""What a hidden layer answers, and which records would make it answer that. Runs only in the child.

Source: Mahendran and Vedaldi 2015, arXiv 1412.0035 (inverting representations by gradient with
natural-image priors); Song and Raghunathan 2020, arXiv 2004.00053 (embedding inversion).
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

from tasks.attacks.inference.record_completion import descended, roughness
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Images, Target

CHUNK = 256
MOST_VALUES = 4096
"""Wider answers are cut to evenly spaced values: an inversion from fewer is a weaker one."""
NEARNESS, SMOOTHNESS = 0.01, 0.002
"""How much the priors weigh beside the relative distance of embeddings."""


def embeddings(target: Target, *, inputs: Images, layer: str) -> Reply:
    """Returns what ``layer`` answers for each item.

    Args:
        target: The opened model, a network with named layers.
        inputs: Raw items (items, …).
        layer: Name of the layer.

    Returns:
        ``arrays["embedding"]`` (items, values) float32; ``values["passes"]`` and
        ``values["queries"]``.

    Raises:
        TargetError: There is no such layer, or it does not answer one row for each item.
    """
    before = target.meter.passes
    parts = []
    with watched(target, layer) as seen, torch.no_grad():
        for at in range(0, len(inputs), CHUNK):
            _module(target)(torch.from_numpy(inputs[at : at + CHUNK]))
            parts.append(_flat(seen, len(inputs[at : at + CHUNK]), layer).numpy())
    spent = target.meter.passes - before
    return Reply({"embedding": np.concatenate(parts)}, {"passes": spent, "queries": spent})


def embedding_inversion(
    target: Target, *, starts: Images, wanted: Array, layer: str, steps: int
) -> Reply:
    """Moves records until ``layer`` answers what is wanted.

    Args:
        target: The opened model, differentiable.
        starts: First guesses (n, …), raw, within bounds.
        wanted: What the layer answered for the true records (n, values).
        layer: Name of the layer.
        steps: Of gradient descent. Cost: 2 * n * steps passes.

    Returns:
        ``arrays["records"]`` (n, …) float32; ``values["passes"]`` and ``values["queries"]``.

    Raises:
        TargetError: As :func:`embeddings`.
    """
    before = target.meter.passes
    parts = []
    with watched(target, layer) as seen:
        for at in range(0, len(starts), CHUNK):
            start = torch.from_numpy(starts[at : at + CHUNK])
            goal = torch.from_numpy(wanted[at : at + CHUNK])
            parts.append(_inverted(target, seen, start, goal, layer=layer, steps=steps).numpy())
    spent = target.meter.passes - before
    return Reply({"records": np.concatenate(parts)}, {"passes": spent, "queries": spent // 2})


def _inverted(
    target: Target,
    seen: list[torch.Tensor],
    start: torch.Tensor,
    goal: torch.Tensor,
    *,
    layer: str,
    steps: int,
) -> torch.Tensor:
    # Each record counts by itself, whatever the size of its embedding.
    size = goal.square().sum(dim=1).clamp_min(1e-12)

    def gradient(point: torch.Tensor, scale: float) -> torch.Tensor:
        moved = point.clone().requires_grad_()
        _module(target)(moved)
        apart = ((_flat(seen, len(moved), layer) - goal).square().sum(dim=1) / size).sum()
        far = ((moved - start) / scale).square().sum()
        loss = apart + NEARNESS * far + SMOOTHNESS * roughness(moved, scale)
        (found,) = torch.autograd.grad(loss, moved)
        return found

    free = torch.ones((), dtype=torch.bool)
    return descended(start, free, gradient, bounds=target.bounds, steps=steps)


@contextlib.contextmanager
def watched(target: Target, layer: str) -> Iterator[list[torch.Tensor]]:
    """Keeps the last answer of a layer in the list that it yields.

    Raises:
        TargetError: The network has no layer of that name.
    """
    named = dict(_module(target).named_modules())
    inside = named.get(f"network.{layer}")
    if inside is None:
        raise TargetError(
            f"the network has no layer {layer!r}; correct model.output.embedding. It has "
            f"{', '.join(name.removeprefix('network.') for name in list(named)[2:22])}"
        )
    seen: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, answer: object) -> None:
        seen[:] = [answer] if isinstance(answer, torch.Tensor) else []

    handle = inside.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def _module(target: Target) -> torch.nn.Module:
    if target.module is None:
        raise TargetError("this model shows no layers, so nothing is known of its embedding")
    return target.module


def _flat(seen: list[torch.Tensor], count: int, layer: str) -> torch.Tensor:
    if not seen or len(seen[0]) != count:
        raise TargetError(f"layer {layer!r} does not answer one row of numbers for each item")
    flat = seen[0].reshape(count, -1).to("cpu", torch.float32)
    return flat[:, :: -(-flat.shape[1] // MOST_VALUES)]
