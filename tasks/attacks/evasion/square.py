"""Square attack: random squares, kept when they lower the margin; needs scores only.

Source: Andriushchenko et al. 2020, arXiv 1912.00049, algorithms 1 and 2 (L-infinity). It sees no
gradients, so what it breaks and gradient attacks do not is a sign of masked gradients. Squares are
drawn per point, not per batch, so that a point's result is its own.
"""

from typing import Any

import torch

from tasks.attacks.evasion.random_search import (
    Counts,
    Draws,
    Windows,
    planes_of,
    search_by_scores,
)
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

FIRST_FRACTION = 0.8  # p, the share of the image that the first squares cover


def square(target: Target, *, epsilon: float, queries: int = 1000, **search: Any) -> Reply:
    """Searches each L-infinity ball of radius ``epsilon`` (raw units) by scores alone.

    Further arguments and the answer are those of
    :func:`tasks.attacks.evasion.random_search.search_by_scores`.
    """
    proposals = Squares(target, epsilon, queries)
    return search_by_scores(target, proposals, purpose="square", queries=queries, **search)


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
