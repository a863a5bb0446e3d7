"""Square attack: random squares, kept when they lower the margin; needs scores only.

Source: Andriushchenko et al. 2020, arXiv 1912.00049, algorithms 1 and 2 (L-infinity). It sees no
gradients, so what it breaks and gradient attacks do not is a sign of masked gradients. Squares are
drawn per point, not per batch, so that a point's result is its own.
"""

import torch

from tasks.attacks.evasion.pool import Pool
from tasks.attacks.evasion.random_search import (
    Counts,
    Draws,
    Windows,
    planes_of,
    search_by_scores,
)
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

FIRST_FRACTION = 0.8  # p, the share of the image that the first squares cover


def square(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    epsilon: float,
    queries: int = 1000,
    restarts: int = 1,
    patient: bool = True,
    seed: int = 0,
) -> Reply:
    """Searches each L-infinity ball by scores alone.

    Args:
        target: Victim that reveals scores (or labels: then it is a blind search).
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        epsilon: Radius of the ball, in raw units.
        queries: Most scores asked per point and restart.
        restarts: Independent searches per point.
        patient: Whether every surviving point gets all its queries, hopeless or not.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        The arrays of :meth:`Pool.reply`; its cost. The caller verifies budget and success itself.
    """
    pool = Pool(target, inputs, labels)
    return search_by_scores(
        pool,
        Squares(target, epsilon, queries),
        purpose="square",
        queries=queries,
        restarts=restarts,
        patient=patient,
        seed=seed,
    )


class Squares:
    """Algorithm 2: one square per proposal goes to one corner of the ball."""

    def __init__(self, target: Target, epsilon: float, queries: int) -> None:
        self.epsilon, (self.low, self.high) = epsilon, target.bounds
        channels, _, width = self.planes = planes_of(target)
        self.windows = Windows(self.planes, queries, FIRST_FRACTION)
        self.first_draws, self.draws = channels * width, 2 + channels

    def first(self, clean: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Starts with vertical stripes of the whole budget."""
        channels, _, width = self.planes
        return self._corner(clean, draws.reshape(len(draws), channels, 1, width))

    def next(
        self, clean: torch.Tensor, best: torch.Tensor, draws: Draws, queries: Counts
    ) -> torch.Tensor:
        """Moves one square per point to one corner of its ball."""
        inside = self.windows.drawn(draws[:, :2], *self.windows.sizes(queries))
        return torch.where(inside, self._corner(clean, draws[:, 2:, None, None]), best)

    def _corner(self, clean: torch.Tensor, draws: Draws) -> torch.Tensor:
        signs = torch.from_numpy(draws < 0.5)
        change = torch.where(signs, self.epsilon, -self.epsilon).to(clean.dtype)
        return (clean + change).clamp_(self.low, self.high)
