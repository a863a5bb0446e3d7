"""Random search by scores alone: proposes a change, keeps it when the margin shrinks.

The frame of Square (Andriushchenko et al. 2020, arXiv 1912.00049, algorithm 1) in any norm. What a
proposal looks like is the business of the attack. Late in a search hardly any proposal is kept;
then several are asked at once and the best counts, which spares the overhead of small batches.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.evasion.balls import wide
from tasks.attacks.evasion.keyed import KeyRing, uniform
from tasks.attacks.evasion.pool import Attempt, Patience, Pool, View, attempts
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Scores, Target

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries, section 5
FIRST_RUNG = 64
"""Queries after which an impatient search first notes how far it is."""
LATE, TOGETHER = 256, 8
"""After this many queries, so many proposals are asked at once."""
Draws = NDArray[np.float64]
Counts = NDArray[np.int64]


class Proposals(Protocol):
    """What one attack proposes. Items are (planes, height, width)."""

    first_draws: int
    draws: int

    def first(self, clean: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Returns where searches begin, from draws (m, ``first_draws``)."""

    def next(
        self, clean: torch.Tensor, best: torch.Tensor, draws: Draws, queries: Counts
    ) -> torch.Tensor:
        """Returns changes of ``best`` to ask next, from draws (m, ``draws``)."""


def search_by_scores(
    target: Target,
    proposals: Proposals,
    *,
    purpose: str,
    inputs: Images,
    labels: Labels,
    queries: int,
    restarts: int = 1,
    patient: bool = True,
    seed: int = 0,
) -> Reply:
    """Searches each ball by scores alone.

    Args:
        target: Victim that reveals scores (or labels: then it is a blind search).
        proposals: What to try in which ball.
        purpose: Keeps the randomness of different attacks apart.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        queries: Most scores asked per point and restart.
        restarts: Independent searches per point.
        patient: Whether every surviving point gets all its queries, hopeless or not.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        The arrays of :meth:`Pool.reply`; its cost. The caller verifies budget and success itself.
    """
    pool = Pool(target, inputs, labels)
    if queries > 0:
        keys = KeyRing(pool.inputs, seed=seed, purpose=purpose)
        search = RandomSearch(pool, proposals, keys, queries)
        patience = None if patient else Patience(queries, FIRST_RUNG)
        pool.run(search, attempts(np.full((len(pool.labels), 1), -1), restarts), patience)
    return pool.reply()


class Hunt(NamedTuple):
    """The searches under way; every field has one row per search."""

    points: torch.Tensor
    restarts: torch.Tensor
    clean: torch.Tensor
    best: torch.Tensor
    height: torch.Tensor
    query: torch.Tensor


class RandomSearch:
    """Algorithm 1 for the pool."""

    def __init__(self, pool: Pool, proposals: Proposals, keys: KeyRing, queries: int) -> None:
        self.pool, self.proposals, self.keys, self.queries = pool, proposals, keys, queries
        self.planes = planes_of(pool.target)

    def begin(self, attempts: list[Attempt]) -> Hunt:
        """Takes the points as they are; the first look proposes where to begin."""
        points = np.array([attempt.point for attempt in attempts])
        clean = torch.from_numpy(self.pool.inputs[points].reshape(len(points), *self.planes))
        return Hunt(
            points=torch.from_numpy(points),
            restarts=torch.tensor([attempt.restart for attempt in attempts]),
            clean=clean,
            best=clean,
            height=torch.full((len(points),), -torch.inf),
            query=torch.zeros(len(points), dtype=torch.int64),
        )

    def look(self, state: Hunt) -> tuple[Hunt, View]:
        """Asks for the scores of proposals and keeps those that are better."""
        asked = self._together(state.query.numpy())
        owners = np.repeat(np.arange(len(asked)), asked)
        places = self._proposed(state, asked, owners)
        margins = self._margins(places, state.points.numpy()[owners])
        # Ordered by owner, then by margin: the last of each owner is its best proposal.
        ordered = np.lexsort((margins, owners))
        picked = ordered[np.cumsum(asked) - 1]
        now, margin = places[torch.from_numpy(picked)], torch.from_numpy(margins[picked])
        better = margin > state.height
        state = state._replace(
            best=torch.where(wide(better, now), now, state.best),
            height=torch.where(better, margin, state.height),
            query=state.query + torch.from_numpy(asked),
        )
        shape = self.pool.target.input_shape
        return state, View(
            now=now.reshape(-1, *shape),
            margins=margin,
            done=state.query >= self.queries,
            best=state.best.reshape(-1, *shape),
            heights=state.height,
            spent=state.query,
        )

    def move(self, state: Hunt) -> Hunt:
        """Does nothing: the next look proposes from what is best."""
        return state

    def _together(self, queries: Counts) -> Counts:
        late = np.where(queries < LATE, 1, TOGETHER)
        together: Counts = np.minimum(late, self.queries - queries)
        return together

    def _proposed(self, state: Hunt, asked: Counts, owners: Counts) -> torch.Tensor:
        """Returns the proposals of all searches (sum of ``asked``, planes, h, w)."""
        order = np.arange(len(owners)) - np.repeat(np.cumsum(asked) - asked, asked)
        queries = state.query.numpy()[owners] + order
        keys = self.keys.of(state.points.numpy()[owners], state.restarts.numpy()[owners])
        rows = torch.from_numpy(owners)
        clean, best = state.clean[rows], state.best[rows]
        starting = queries == 0
        if starting.all():
            return self.proposals.first(clean, uniform(keys, queries, self.proposals.first_draws))
        places = self.proposals.next(
            clean, best, uniform(keys, queries, self.proposals.draws), queries
        )
        if starting.any():
            fresh = uniform(keys[starting], queries[starting], self.proposals.first_draws)
            chosen = torch.from_numpy(starting)
            places[chosen] = self.proposals.first(clean[chosen], fresh)
        return places

    def _margins(self, places: torch.Tensor, points: Counts) -> NDArray[np.float32]:
        target = self.pool.target
        scores = target.scores(places.reshape(-1, *target.input_shape).numpy())
        return (-margin_of(scores, self.pool.labels[points])).astype(np.float32)


class Windows:
    """How large the squares are at each query: smaller as the search goes on."""

    def __init__(self, planes: tuple[int, int, int], queries: int, fraction: float) -> None:
        _, self.height, self.width = planes
        area = self.height * self.width
        self.sides = np.array([side_of(at, queries, area, fraction) for at in range(queries)])

    def sizes(self, queries: Counts) -> tuple[Counts, Counts]:
        """Returns height and width of each square; a row of features is one line of pixels."""
        sides = self.sides[queries]
        if self.height == 1:
            return np.ones_like(sides), np.minimum(sides * sides, self.width)
        return np.minimum(sides, self.height), np.minimum(sides, self.width)

    def drawn(self, draws: Draws, tall: Counts, broad: Counts) -> torch.Tensor:
        """Marks one window per row (m, 1, h, w), placed by two draws in [0, 1) (m, 2)."""
        rows = within(first_of(draws[:, 0], tall, self.height), tall, self.height)
        columns = within(first_of(draws[:, 1], broad, self.width), broad, self.width)
        return torch.from_numpy(rows[:, None, :, None] & columns[:, None, None, :])


def side_of(query: int, queries: int, area: int, fraction: float) -> int:
    """Returns the side of the squares at ``query``, which cover ``fraction`` at first."""
    scaled = int(query / queries * 10_000)
    share = fraction / 2 ** sum(scaled > limit for limit in HALVINGS)
    return max(round(math.sqrt(share * area)), 1)


def first_of(draws: Draws, sizes: Counts, extent: int) -> Counts:
    """Returns where a span of ``sizes`` places begins, anywhere that it fits (m,)."""
    first: Counts = (draws * (extent - sizes + 1)).astype(np.int64)
    return first


def within(first: Counts, sizes: Counts, extent: int) -> NDArray[np.bool_]:
    """Marks the places of each span (m, extent)."""
    place = np.arange(extent) - first[:, None]
    inside: NDArray[np.bool_] = (place >= 0) & (place < sizes[:, None])
    return inside


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
