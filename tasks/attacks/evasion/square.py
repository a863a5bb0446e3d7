"""Square attack: random squares, kept when they lower the margin; needs scores only.

Source: Andriushchenko et al. 2020, arXiv 1912.00049, algorithms 1 and 2 (L-infinity). It sees no
gradients, so what it breaks and gradient attacks do not is a sign of masked gradients. Squares are
drawn per point, not per batch, so that a point's result is its own.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.evasion.balls import wide
from tasks.attacks.evasion.keyed import KeyRing, uniform
from tasks.attacks.evasion.pool import Attempt, Patience, Pool, View, attempts
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Scores, Target

FIRST_FRACTION = 0.8  # p, the share of the image that the first squares cover
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries, section 5
FIRST_RUNG = 64
"""Queries after which an impatient search first notes how far it is."""


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
    """Searches each ball by scores alone.

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
    if queries > 0:
        search = Squares(pool, epsilon=epsilon, queries=queries, seed=seed)
        patience = None if patient else Patience(queries, FIRST_RUNG)
        pool.run(search, attempts(np.full((len(labels), 1), -1), restarts), patience)
    return pool.reply()


class Hunt(NamedTuple):
    """The searches under way; every field has one row per search. Items are (planes, h, w)."""

    points: torch.Tensor
    restarts: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    now: torch.Tensor
    best: torch.Tensor
    height: torch.Tensor
    query: torch.Tensor


class Squares:
    """Algorithm 1 for the pool: asks, keeps what is better, proposes the next square."""

    def __init__(self, pool: Pool, *, epsilon: float, queries: int, seed: int) -> None:
        self.pool, self.epsilon = pool, np.float32(epsilon)
        self.queries = queries
        self.planes = planes_of(pool.target)
        self.windows = Windows(self.planes, queries, FIRST_FRACTION)
        self.keys = KeyRing(pool.inputs, seed=seed, purpose="square")

    def begin(self, attempts: list[Attempt]) -> Hunt:
        """Starts with vertical stripes of the whole budget."""
        points = np.array([attempt.point for attempt in attempts])
        restarts = np.array([attempt.restart for attempt in attempts])
        clean = self.pool.inputs[points].reshape(len(points), *self.planes)
        low = np.maximum(clean - self.epsilon, np.float32(self.pool.target.bounds[0]))
        high = np.minimum(clean + self.epsilon, np.float32(self.pool.target.bounds[1]))
        channels, _, width = self.planes
        drawn = uniform(
            self.keys.of(points, restarts), np.zeros(len(points), np.int64), channels * width
        )
        up = (drawn < 0.5).reshape(len(points), channels, 1, width)
        now = torch.from_numpy(np.where(up, high, low))
        none = torch.full((len(points),), -torch.inf)
        return Hunt(
            points=torch.from_numpy(points),
            restarts=torch.from_numpy(restarts),
            low=torch.from_numpy(low),
            high=torch.from_numpy(high),
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
        """Moves one square per point to one corner of its ball."""
        counters = state.query.numpy()
        keys = self.keys.of(state.points.numpy(), state.restarts.numpy())
        draws = uniform(keys, counters, 2 + self.planes[0])
        inside = drawn_window(draws[:, :2], *self.windows.sizes(counters), self.planes)
        up = torch.from_numpy(draws[:, 2:] < 0.5)[:, :, None, None]
        corner = torch.where(up, state.high, state.low)
        return state._replace(now=torch.where(inside, corner, state.best))


class Windows:
    """How large the squares are at each query: smaller as the search goes on."""

    def __init__(self, planes: tuple[int, int, int], queries: int, fraction: float) -> None:
        _, self.height, self.width = planes
        area = self.height * self.width
        self.sides = np.array([side_of(at, queries, area, fraction) for at in range(queries)])

    def sizes(self, queries: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns height and width of each square; a row of features is one line of pixels."""
        sides = self.sides[queries]
        if self.height == 1:
            return np.ones_like(sides), np.minimum(sides * sides, self.width)
        return np.minimum(sides, self.height), np.minimum(sides, self.width)


def side_of(query: int, queries: int, area: int, fraction: float = FIRST_FRACTION) -> int:
    """Returns the side of the squares at ``query``: smaller as the search goes on."""
    scaled = int(query / queries * 10_000)
    share = fraction / 2 ** sum(scaled > limit for limit in HALVINGS)
    return max(round(math.sqrt(share * area)), 1)


def margin_of(scores: Scores, labels: Labels) -> NDArray[np.float64]:
    """Returns how far the true class leads (n,); below zero means another class wins."""
    spread = scores.astype(np.float64)
    rows = np.arange(len(labels))
    own = spread[rows, labels].copy()
    spread[rows, labels] = -np.inf
    margins: NDArray[np.float64] = own - spread.max(axis=1)
    return margins


def planes_of(target: Target) -> tuple[int, int, int]:
    """Reads any item as (channels, height, width); a row of features is one line of pixels."""
    shape = target.input_shape
    if len(shape) >= 3:
        return int(np.prod(shape[:-2])), shape[-2], shape[-1]
    return (1, *shape) if len(shape) == 2 else (1, 1, shape[0])


def margins_at(pool: Pool, places: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Asks for scores at ``places`` (m, planes, h, w); above zero the class has changed (m,)."""
    scores = pool.target.scores(places.reshape(-1, *pool.target.input_shape).numpy())
    leads = margin_of(scores, pool.labels[points.numpy()])
    return torch.from_numpy((-leads).astype(np.float32))


def drawn_window(
    draws: NDArray[np.float64],
    tall: NDArray[np.int64],
    broad: NDArray[np.int64],
    planes: tuple[int, int, int],
) -> torch.Tensor:
    """Marks one window per row (m, 1, h, w), placed by two draws in [0, 1) (m, 2)."""
    rows, columns = _span(draws[:, 0], tall, planes[1]), _span(draws[:, 1], broad, planes[2])
    return torch.from_numpy(rows[:, None, :, None] & columns[:, None, None, :])


def _span(draws: NDArray[np.float64], sizes: NDArray[np.int64], extent: int) -> NDArray[np.bool_]:
    """Marks ``sizes`` neighbouring places of ``extent`` per row (m, extent), the first drawn."""
    first = (draws * (extent - sizes + 1)).astype(np.int64)[:, None]
    places = np.arange(extent)
    inside: NDArray[np.bool_] = (places >= first) & (places < first + sizes[:, None])
    return inside
