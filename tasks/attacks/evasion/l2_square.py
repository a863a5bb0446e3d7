"""Square attack in the Euclidean ball: moves the budget of one window into another, by scores only.

Source: Andriushchenko et al. 2020, arXiv 1912.00049, algorithms 1 and 3. Each proposal takes the
change inside two windows, and spends its length (and what the budget still allows) on a bump in the
first. Windows are drawn per point, so that a point's result is its own.
"""

from typing import Any

import numpy as np
import torch

from tasks.attacks.evasion.balls import L2Ball, lengths, wide
from tasks.attacks.evasion.random_search import (
    Counts,
    Draws,
    Windows,
    first_of,
    planes_of,
    search_by_scores,
    within,
)
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

FIRST_FRACTION = 0.8
"""The share of a picture that a first window covers: that of the AutoAttack reference, whose search
falls short with the 0.1 of the paper."""
TILES = 5
"""The start is a board of this many bumps a side."""


def l2_square(target: Target, *, epsilon: float, queries: int = 1000, **search: Any) -> Reply:
    """Searches each Euclidean ball of radius ``epsilon`` (raw units) by scores alone.

    Further arguments and the answer are those of
    :func:`tasks.attacks.evasion.random_search.search_by_scores`.
    """
    proposals = Bumps(target, epsilon, queries)
    return search_by_scores(target, proposals, purpose="l2_square", queries=queries, **search)


class Bumps:
    """Algorithm 3: the length inside two windows becomes one bump."""

    def __init__(self, target: Target, epsilon: float, queries: int) -> None:
        self.ball = L2Ball(epsilon, target.bounds)
        self.planes = planes_of(target)
        self.windows = Windows(self.planes, queries, FIRST_FRACTION)
        self.first_draws, self.draws = self.planes[0] * TILES**2, 4 + self.planes[0]

    def first(self, clean: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Starts with a board of bumps, each up or down, as long as the budget."""
        channels, height, width = self.planes
        signs = np.where(draws < 0.5, -1.0, 1.0).reshape(len(draws), channels, TILES, TILES)
        rows, columns = _tiles(height), _tiles(width)
        board = signs[:, :, rows][:, :, :, columns]
        board = board * _heights(rows)[:, None] * _heights(columns)[None]
        return self._spent(torch.from_numpy(board).to(clean.dtype), clean)

    def next(
        self, clean: torch.Tensor, best: torch.Tensor, draws: Draws, queries: Counts
    ) -> torch.Tensor:
        """Empties two windows per point and spends what becomes free on a bump in the first."""
        tall, broad = self.windows.sizes(queries)
        here = self.windows.drawn(draws[:, :2], tall, broad)
        there = self.windows.drawn(draws[:, 2:4], tall, broad)
        signs = torch.from_numpy(np.where(draws[:, 4:] < 0.5, -1.0, 1.0))[:, :, None, None]
        fresh = self._bump(draws, tall, broad) * signs.to(clean.dtype)
        change = best - clean
        # Algorithm 3, lines 8 to 10: the new bump keeps what the window already pointed at.
        old = change * here
        fresh = fresh / wide(lengths(fresh), fresh) + old / wide(lengths(old), old)
        kept = change * ~(here | there)
        left = (self.ball.epsilon**2 - lengths(kept) ** 2).clamp_min(0).sqrt()
        return self._spent(kept + fresh * wide(left / lengths(fresh), fresh), clean)

    def _bump(self, draws: Draws, tall: Counts, broad: Counts) -> torch.Tensor:
        """Returns a pyramid in the first window of each row (m, 1, h, w)."""
        rows = _ramp(first_of(draws[:, 0], tall, self.planes[1]), tall, self.planes[1])
        columns = _ramp(first_of(draws[:, 1], broad, self.planes[2]), broad, self.planes[2])
        return torch.from_numpy(rows[:, None, :, None] * columns[:, None, None, :]).float()

    def _spent(self, change: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Returns the input moved in the direction of ``change`` by the whole budget."""
        longer = change * wide(self.ball.epsilon / lengths(change), change)
        return self.ball.inside(clean + longer, clean)


def _tiles(extent: int) -> Counts:
    """Returns in which tile each place of an edge lies (extent,)."""
    tiles: Counts = np.minimum(np.arange(extent) * TILES // extent, TILES - 1)
    return tiles


def _heights(tiles: Counts) -> Draws:
    """Returns how far inside its tile each place lies (extent,), 1 at the rim."""
    first = np.searchsorted(tiles, tiles)
    after = np.searchsorted(tiles, tiles, side="right")
    place = np.arange(len(tiles))
    heights: Draws = np.minimum(place - first + 1, after - place).astype(np.float64)
    return heights


def _ramp(first: Counts, sizes: Counts, extent: int) -> Draws:
    """Returns a ramp to the middle of each span and down again (m, extent)."""
    place = np.arange(extent) - first[:, None]
    height = np.minimum(place + 1, sizes[:, None] - place)
    ramp: Draws = np.where(within(first, sizes, extent), height, 0).astype(np.float64)
    return ramp
