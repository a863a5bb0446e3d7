"""RayS: the sign vector whose ray meets another class first, from labels alone (L-infinity).

Source: Chen and Gu 2020, arXiv 2006.12792, algorithms 2 and 3. It estimates no gradient and tunes
nothing, so what it breaks and gradient attacks do not is a sign of masked gradients.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.evasion.labels_only import Flags, Flat, Oracle, Rows
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

PRECISION = 1e-3
"""How exactly a radius is searched, in input ranges."""


def rays(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    queries: int = 1000,
    epsilon: float = 0.0,
    seed: int = 0,  # noqa: ARG001 - every attack takes one; this one draws nothing
) -> Reply:
    """Searches the smallest radius at which some corner of the ball has another class.

    Args:
        target: Victim; labels are enough.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        queries: Most labels asked per point.
        epsilon: Radius (raw units) at which to stop and beyond which nothing counts as found; 0
            for the smallest radius, however large.
        seed: Not used, the search is deterministic.

    Returns:
        Arrays ``candidates`` (like ``inputs``; the clean input where nothing was found),
        ``found`` (n,) and ``asked`` (n,); values ``passes`` and ``queries``. The caller measures
        radius and success itself.
    """
    oracle = Oracle(target, inputs, labels)
    search = _Search(oracle, queries=queries, epsilon=epsilon)
    search.run()
    return oracle.reply(search.candidates, search.radius, epsilon)


class _Search:
    def __init__(self, oracle: Oracle, *, queries: int, epsilon: float) -> None:
        self.oracle, self.queries, self.epsilon = oracle, queries, epsilon
        count, self.size = oracle.clean.shape
        self.span = oracle.high - oracle.low
        self.signs = np.ones((count, self.size), np.float32)
        self.radius = np.full(count, np.inf)
        self.candidates: Flat = oracle.clean.copy()
        self.level = np.zeros(count, np.int64)
        self.block = np.zeros(count, np.int64)

    def run(self) -> None:
        everyone = np.arange(len(self.radius))
        self._shorten(everyone, self.signs)
        while len(rows := everyone[self._open(everyone)]):
            flipped = self._flipped(rows)
            self._advance(rows)
            self._shorten(rows, flipped)

    def _open(self, rows: Rows) -> Flags:
        open_: Flags = (self.oracle.asked[rows] < self.queries) & (self.radius[rows] > self.epsilon)
        return open_

    def _shorten(self, rows: Rows, signs: NDArray[np.float32]) -> None:
        """Takes the new signs where they break at the known radius, then searches a smaller one."""
        most = np.minimum(self.radius[rows], self.span)
        falls = self._try(rows, signs, most)
        rows, signs = rows[falls], signs[falls]
        self.signs[rows] = signs
        safe, broken = np.zeros(len(rows)), most[falls]
        while True:
            wide = (broken - safe > PRECISION * self.span) & self._open(rows)
            if not wide.any():
                break
            middle = (safe[wide] + broken[wide]) / 2
            falls = self._try(rows[wide], signs[wide], middle)
            broken[wide] = np.where(falls, middle, broken[wide])
            safe[wide] = np.where(falls, safe[wide], middle)

    def _try(self, rows: Rows, signs: NDArray[np.float32], radius: NDArray[np.float64]) -> Flags:
        moved = self.oracle.clean[rows] + radius[:, None].astype(np.float32) * signs
        moved = np.clip(moved, self.oracle.low, self.oracle.high)
        falls = self.oracle.breaks(rows, moved)
        better = falls & (radius <= self.radius[rows])
        self.candidates[rows[better]] = moved[better]
        self.radius[rows[better]] = radius[better]
        return falls

    def _flipped(self, rows: Rows) -> NDArray[np.float32]:
        """Turns the signs of one block of values, halves first, then quarters, and so on."""
        width = -(-self.size // 2 ** self.level[rows])
        start = self.block[rows] * width
        place = np.arange(self.size)
        inside = (place >= start[:, None]) & (place < (start + width)[:, None])
        return np.where(inside, -self.signs[rows], self.signs[rows])

    def _advance(self, rows: Rows) -> None:
        """Moves on to the next block that holds values; after single values starts over."""
        self.block[rows] += 1
        width = -(-self.size // 2 ** self.level[rows])
        over = self.block[rows] * width >= self.size
        done = rows[over]
        self.block[done] = 0
        last = 2 ** self.level[done] >= self.size
        self.level[done] = np.where(last, 0, self.level[done] + 1)
