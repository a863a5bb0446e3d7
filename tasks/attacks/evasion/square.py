"""Square attack: random squares, kept when they lower the margin; needs scores only.

Source: Andriushchenko et al. 2020, arXiv 1912.00049, algorithms 1 and 2 (L-infinity). It sees no
gradients, so what it breaks and gradient attacks do not is a sign of masked gradients. Squares are
drawn per point, not per batch, so that a point's result is its own.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.evasion.keyed import generator_for
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Scores, Target

FIRST_FRACTION = 0.8  # p, the share of the image that the first squares cover
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries, section 5
BLOCK = 256
Draws = NDArray[np.float64]


def square(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    epsilon: float,
    queries: int = 1000,
    seed: int = 0,
) -> Reply:
    """Searches each ball by scores alone.

    Args:
        target: Victim that reveals scores (or labels: then it is a blind search).
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        epsilon: Radius of the ball, in raw units.
        queries: Most scores asked per point.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        Arrays ``candidates`` (like ``inputs``) and ``found`` (n,); values ``passes``, ``queries``.
        The caller verifies budget and success itself.
    """
    before = target.meter.forwards
    search = _Search(target, inputs, labels, epsilon=epsilon, queries=queries, seed=seed)
    search.run()
    asked = target.meter.forwards - before
    return Reply(
        {"candidates": search.candidates.reshape(inputs.shape), "found": search.margins < 0},
        {"passes": asked, "queries": asked},
    )


def side_of(query: int, queries: int, area: int) -> int:
    """Returns the side of the squares at ``query``: smaller as the search goes on."""
    scaled = int(query / queries * 10_000)
    share = FIRST_FRACTION / 2 ** sum(scaled > limit for limit in HALVINGS)
    return max(round(math.sqrt(share * area)), 1)


class _Search:
    def __init__(
        self,
        target: Target,
        inputs: Images,
        labels: Labels,
        *,
        epsilon: float,
        queries: int,
        seed: int,
    ) -> None:
        self.target, self.labels = target, labels
        self.epsilon, self.queries = np.float32(epsilon), queries
        self.clean = np.ascontiguousarray(inputs, np.float32).reshape(len(labels), *_planes(target))
        self.rngs = [generator_for(item, seed=seed, purpose="square") for item in self.clean]
        self.low = np.maximum(self.clean - self.epsilon, np.float32(target.bounds[0]))
        self.high = np.minimum(self.clean + self.epsilon, np.float32(target.bounds[1]))
        self.candidates = self.clean.copy()
        self.margins = np.full(len(labels), np.inf)

    def run(self) -> None:
        everyone = np.arange(len(self.labels))
        if not len(everyone) or self.queries < 1:
            return
        self._try(everyone, self._striped())
        for start in range(1, self.queries, BLOCK):
            rows = everyone[self.margins >= 0]
            count = min(BLOCK, self.queries - start)
            self._block(rows, start, self._draws(rows, count))

    def _block(self, rows: NDArray[np.int64], start: int, draws: Draws) -> None:
        _, _, height, width = self.clean.shape
        for at in range(draws.shape[1]):
            alive = self.margins[rows] >= 0
            rows, draws = rows[alive], draws[alive]
            if not len(rows):
                return
            side = side_of(start + at, self.queries, height * width)
            self._try(rows, self._squared(rows, draws[:, at], side))

    def _striped(self) -> Images:
        """Starts with vertical stripes of the whole budget."""
        stripes = np.stack([rng.integers(0, 2, self._stripe()) * 2 - 1 for rng in self.rngs])
        moved = self.clean + self.epsilon * stripes.astype(np.float32)
        return np.clip(moved, self.low, self.high)

    def _stripe(self) -> tuple[int, int, int]:
        _, channels, _, width = self.clean.shape
        return channels, 1, width

    def _draws(self, rows: NDArray[np.int64], count: int) -> Draws:
        """Returns (row, query, top | left | sign per channel), uniform in [0, 1)."""
        size = (count, 2 + self.clean.shape[1])
        drawn = [self.rngs[row].random(size) for row in rows]
        return np.stack(drawn) if drawn else np.zeros((0, *size))

    def _squared(self, rows: NDArray[np.int64], draws: Draws, side: int) -> Images:
        """Moves one square per point to one corner of its ball."""
        _, _, height, width = self.clean.shape
        tall, wide = (side, side) if height > 1 else (1, min(side * side, width))
        tall, wide = min(tall, height), min(wide, width)
        top = (draws[:, 0] * (height - tall + 1)).astype(int)[:, None]
        left = (draws[:, 1] * (width - wide + 1)).astype(int)[:, None]
        in_rows = (np.arange(height) >= top) & (np.arange(height) < top + tall)
        in_columns = (np.arange(width) >= left) & (np.arange(width) < left + wide)
        inside = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
        up = (draws[:, 2:] < 0.5)[:, :, None, None]
        corner = np.where(up, self.high[rows], self.low[rows])
        return np.where(inside, corner, self.candidates[rows])

    def _try(self, rows: NDArray[np.int64], moved: Images) -> None:
        scores = self.target.scores(moved.reshape(len(rows), *self.target.input_shape))
        margins = margin_of(scores, self.labels[rows])
        better = margins < self.margins[rows]
        self.margins[rows[better]] = margins[better]
        self.candidates[rows[better]] = moved[better]


def margin_of(scores: Scores, labels: Labels) -> NDArray[np.float64]:
    """Returns how far the true class leads (n,); below zero means another class wins."""
    wide = scores.astype(np.float64)
    rows = np.arange(len(labels))
    own = wide[rows, labels].copy()
    wide[rows, labels] = -np.inf
    margins: NDArray[np.float64] = own - wide.max(axis=1)
    return margins


def _planes(target: Target) -> tuple[int, int, int]:
    """Reads any item as (channels, height, width); a row of features is one line of pixels."""
    shape = target.input_shape
    if len(shape) >= 3:
        return int(np.prod(shape[:-2])), shape[-2], shape[-1]
    return (1, *shape) if len(shape) == 2 else (1, 1, shape[0])
