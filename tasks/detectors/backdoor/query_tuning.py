"""Tunes a few queries together with the small meta classifier that reads the answers to them.

Source: Xu et al. 2021, IEEE S&P, section V-B (query tuning): the shadows are differentiable, so the
queries descend by the meta classifier's own loss.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tasks.attacks.inference.side_by_side import side_by_side
from tasks.detectors.backdoor.inversion import Pool
from tasks.detectors.backdoor.jumbo import drawn_backdoor
from tasks.detectors.backdoor.meta_scores import LEAST_SCALE, Meta
from tasks.detectors.backdoor.shadow_zoo import Shadows

HIDDEN = 20
DROPPED = 0.2
QUERY_RATE, META_RATE = 0.02, 0.01
DECAY = 1e-3
AT_ONCE = 32
"""Shadows per step."""
EDGE = 0.02
"""Queries start so far inside the range, in parts of it, where they can still be moved."""
LEAST_SPREAD = 1e-2
"""Of a feature that hardly varies, so that it does not count for more than it says."""


class Tuned(NamedTuple):
    """Queries (queries, *item), raw, and what reads the answers to them."""

    queries: torch.Tensor
    meta: Meta


def tuned(
    shadows: Shadows,
    rows: NDArray[np.int64],
    pool: Pool,
    bounds: tuple[float, float],
    *,
    queries: int,
    epochs: int,
    seed: int,
) -> Tuned:
    """Tells the poisoned shadows of ``rows`` from the honest ones, which must be among them too.

    Args:
        shadows: Trained models.
        rows: Places of those that may be seen.
        pool: Queries start from inputs of it, raw.
        bounds: Raw range that queries stay within.
        queries: How many. Cost: about 3 * epochs * len(rows) * queries passes of shadows.
        epochs: Times that each shadow is seen.
        seed: Draws starts, order and dropout.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    free = _start(pool, bounds, queries, generator).requires_grad_()
    planted = torch.from_numpy(shadows.planted[rows]).float()
    with torch.no_grad():
        first = features(answers_to(shadows, rows, _within(free, bounds)))
    middle, spread = first.mean(0), first.std(0).clamp_min(LEAST_SPREAD)
    inner, outer = nn.Linear(first.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    reader = nn.Sequential(inner, nn.ReLU(), nn.Dropout(DROPPED), outer)
    optimiser = torch.optim.Adam(
        [
            {"params": [free], "lr": QUERY_RATE},
            {"params": reader.parameters(), "lr": META_RATE, "weight_decay": DECAY},
        ]
    )
    even = (len(planted) - planted.sum()) / planted.sum().clamp_min(1)
    for _ in range(epochs):
        for part in torch.randperm(len(rows), generator=generator).split(AT_ONCE):
            answers = answers_to(shadows, rows[part.numpy()], _within(free, bounds))
            said = reader((features(answers) - middle) / spread).squeeze(1)
            loss = nn.functional.binary_cross_entropy_with_logits(
                said, planted[part], pos_weight=even
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    read = (middle, spread, inner.weight.T, inner.bias, outer.weight[0], outer.bias[0])
    return Tuned(
        _within(free, bounds).detach(), Meta(*(part.detach().double().numpy() for part in read))
    )


def answers_to(shadows: Shadows, rows: NDArray[np.int64], queries: torch.Tensor) -> torch.Tensor:
    """Returns the logits (rows, queries, classes) that some shadows give to the same queries."""
    some = {name: weight[torch.from_numpy(rows)] for name, weight in shadows.weights.items()}
    return side_by_side(shadows.network)(some, queries.expand(len(rows), *queries.shape))


def features(logits: torch.Tensor) -> torch.Tensor:
    """Returns what ``meta_scores.features_of`` returns, differentiably."""
    centred = logits - logits.mean(-1, keepdim=True)
    square = centred.square().mean(-1, keepdim=True)
    # Clamped before the root, whose slope at 0 is infinite.
    return (centred / square.clamp_min(LEAST_SCALE**2).sqrt()).flatten(1)


def _start(
    pool: Pool, bounds: tuple[float, float], queries: int, generator: torch.Generator
) -> torch.Tensor:
    """Returns the free variables of queries that begin in turn as one of four kinds.

    An input; an input with a trigger drawn at random; an input under noise; noise alone. Models
    with a backdoor differ most where nothing honest was ever shown.
    """
    low, high = bounds
    rng = np.random.default_rng(int(torch.randint(1 << 31, (1,), generator=generator)))
    drawn = torch.randint(len(pool.inputs), (queries,), generator=generator)
    begun = []
    for place, item in enumerate(pool.inputs[drawn]):
        noise = low + (high - low) * torch.rand(item.shape, generator=generator)
        trigger = drawn_backdoor(tuple(item.shape), bounds, 2, rng)
        begun.append([item, trigger.on(item), (item + noise) / 2, noise][place % 4])
    part = (torch.stack(begun) - low) / (high - low)
    return torch.logit(part.clamp(EDGE, 1 - EDGE))


def _within(free: torch.Tensor, bounds: tuple[float, float]) -> torch.Tensor:
    low, high = bounds
    return low + (high - low) * torch.sigmoid(free)
