"""Square attack in the Euclidean ball: moves the budget of one window into another, by scores only.

Source: Andriushchenko et al. 2020, arXiv 1912.00049, algorithms 1 and 3. Each proposal takes the
change inside two windows, and spends its length (and what the budget still allows) on a bump in the
first. Windows are drawn per point, so that a point's result is its own.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.evasion.balls import SMALLEST, L2Ball, wide
from tasks.attacks.evasion.keyed import KeyRing, uniform
from tasks.attacks.evasion.pool import Attempt, Patience, Pool, View, attempts
from tasks.attacks.evasion.square import FIRST_RUNG, Windows, drawn_window, margins_at, planes_of
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

Draws = NDArray[np.float64]
FIRST_FRACTION = 0.1  # p
TILES = 5
"""The start is a board of this many bumps a side."""


def l2_square(
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
    """Searches each ball by scores alone. Arguments and answer are those of ``square``."""
    pool = Pool(target, inputs, labels)
    if queries > 0:
        search = Bumps(pool, epsilon=epsilon, queries=queries, seed=seed)
        patience = None if patient else Patience(queries, FIRST_RUNG)
        pool.run(search, attempts(np.full((len(labels), 1), -1), restarts), patience)
    return pool.reply()


class Hunt(NamedTuple):
    """The searches under way; every field has one row per search. Items are (planes, h, w)."""

    points: torch.Tensor
    restarts: torch.Tensor
    clean: torch.Tensor
    now: torch.Tensor
    best: torch.Tensor
    height: torch.Tensor
    query: torch.Tensor


class Bumps:
    """Algorithm 1 for the pool, with the proposals of algorithm 3."""

    def __init__(self, pool: Pool, *, epsilon: float, queries: int, seed: int) -> None:
        self.pool, self.queries = pool, queries
        self.ball = L2Ball(epsilon, pool.target.bounds)
        self.planes = planes_of(pool.target)
        self.windows = Windows(self.planes, queries, FIRST_FRACTION)
        self.keys = KeyRing(pool.inputs, seed=seed, purpose="l2_square")

    def begin(self, attempts: list[Attempt]) -> Hunt:
        """Starts with a board of bumps, each up or down, as long as the budget."""
        points = np.array([attempt.point for attempt in attempts])
        restarts = np.array([attempt.restart for attempt in attempts])
        clean = torch.from_numpy(self.pool.inputs[points].reshape(len(points), *self.planes))
        keys, zeros = self.keys.of(points, restarts), np.zeros(len(points), np.int64)
        signs = np.where(uniform(keys, zeros, self.planes[0] * TILES**2) < 0.5, -1.0, 1.0)
        board = self._board(signs.reshape(len(points), self.planes[0], TILES, TILES))
        now = self._spent(board.to(clean.dtype), clean)
        none = torch.full((len(points),), -torch.inf)
        return Hunt(
            points=torch.from_numpy(points),
            restarts=torch.from_numpy(restarts),
            clean=clean,
            now=now,
            best=now,
            height=none,
            query=torch.zeros(len(points), dtype=torch.int64),
        )

    def look(self, state: Hunt) -> tuple[Hunt, View]:
        """Asks for the scores of the proposals and keeps those that are better."""
        shape = self.pool.target.input_shape
        margins = margins_at(self.pool, state.now, state.points)
        better = margins > state.height
        state = state._replace(
            best=torch.where(wide(better, state.now), state.now, state.best),
            height=torch.where(better, margins, state.height),
            query=state.query + 1,
        )
        done = state.query >= self.queries
        shown = state.best.reshape(-1, *shape)
        return state, View(state.now.reshape(-1, *shape), margins, done, shown, state.height)

    def move(self, state: Hunt) -> Hunt:
        """Empties two windows per point and spends what becomes free on a bump in the first."""
        channels = self.planes[0]
        counters = state.query.numpy()
        draws = uniform(
            self.keys.of(state.points.numpy(), state.restarts.numpy()), counters, 4 + channels
        )
        tall, broad = self.windows.sizes(counters)
        here = drawn_window(draws[:, :2], tall, broad, self.planes)
        there = drawn_window(draws[:, 2:4], tall, broad, self.planes)
        signs = torch.from_numpy(np.where(draws[:, 4:] < 0.5, -1.0, 1.0)).to(state.clean.dtype)
        bump = torch.from_numpy(
            self._bump(draws[:, 0], tall, self.planes[1])[:, :, None]
            * self._bump(draws[:, 1], broad, self.planes[2])[:, None, :]
        ).to(state.clean.dtype)[:, None]
        change = state.best - state.clean
        inside = here | there
        # Algorithm 3, lines 8 to 10: the new bump keeps what the window already pointed at.
        old = change / wide(_length(change * here), change)
        fresh = bump * signs[:, :, None, None]
        fresh = fresh / wide(_length(fresh), fresh) + old * here
        kept = change * ~inside
        left = (self.ball.epsilon**2 - _length(kept) ** 2).clamp_min(0).sqrt()
        proposal = kept + fresh * wide(left / _length(fresh), fresh)
        return state._replace(now=self._spent(proposal, state.clean))

    def _spent(self, change: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Returns the input moved in the direction of ``change`` by the whole budget."""
        longer = change * wide(self.ball.epsilon / _length(change), change)
        return self.ball.inside(clean + longer, clean)

    def _board(self, signs: Draws) -> torch.Tensor:
        """Returns bumps (m, planes, h, w), one per tile, with the given signs."""
        _, height, width = self.planes
        rows, columns = _ramp(height), _ramp(width)
        row_of = np.minimum(np.arange(height) * TILES // max(height, 1), TILES - 1)
        column_of = np.minimum(np.arange(width) * TILES // max(width, 1), TILES - 1)
        spread = signs[:, :, row_of][:, :, :, column_of]
        return torch.from_numpy(spread * rows[:, None] * columns[None, :])

    def _bump(self, draws: Draws, sizes: NDArray[np.int64], extent: int) -> Draws:
        """Returns a ramp to the middle of each drawn span and down again (m, extent)."""
        first = (draws * (extent - sizes + 1)).astype(np.int64)[:, None]
        place = np.arange(extent)[None] - first
        inside = (place >= 0) & (place < sizes[:, None])
        ramp: Draws = np.where(inside, np.minimum(place + 1, sizes[:, None] - place), 0).astype(
            float
        )
        return ramp


def _ramp(extent: int) -> Draws:
    """Returns how far inside its tile each place of an edge lies (extent,), 1 at the rim."""
    tile = np.minimum(np.arange(extent) * TILES // max(extent, 1), TILES - 1)
    first = np.searchsorted(tile, tile)
    after = np.searchsorted(tile, tile, side="right")
    place = np.arange(extent)
    ramp: Draws = np.minimum(place - first + 1, after - place).astype(float)
    return ramp


def _length(tensor: torch.Tensor) -> torch.Tensor:
    length: torch.Tensor = torch.linalg.vector_norm(tensor.flatten(1), dim=1).clamp_min(SMALLEST)
    return length
