"""HopSkipJump: along the boundary by estimated gradients, from nothing but labels (L2, L-infinity).

Source: Chen et al. 2020, arXiv 1904.02144, algorithms 1 and 2, section III-C and appendix. All
points walk side by side; each has its own randomness, boundary and count of queries.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.evasion.labels_only import Flags, Flat, Oracle, Rows, blocks_of
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

FIRST_PROBES = 100
"""B 0: probes of the first gradient estimate; later ones take sqrt(t) times as many."""
FIRST_REACH = 0.1
"""How far the first probes lie apart, in input ranges."""
NOISE_STARTS = 30
SHORTENINGS = 25
Floats = NDArray[np.float64]


def hop_skip_jump(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    norm: Literal["l2", "linf"] = "l2",
    queries: int = 2000,
    epsilon: float = 0.0,
    seed: int = 0,
) -> Reply:
    """Searches a near point of another class by asking for labels alone.

    Args:
        target: Victim; labels are enough.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        norm: What to make small.
        queries: Most labels asked per point.
        epsilon: Distance (raw units) at which to stop and beyond which nothing counts as found; 0
            for the smallest distance, however large.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        Arrays ``candidates`` (like ``inputs``; the clean input where no start was found),
        ``found`` (n,) and ``asked`` (n,); values ``passes`` and ``queries``. The caller measures
        distance and success itself.
    """
    walk = _Walk(Oracle(target, inputs, labels), norm=norm, queries=queries, seed=seed)
    rows = walk.started()
    walk.onto_boundary(rows)
    for turn in range(1, queries):
        far = walk.best_distance[rows] > epsilon
        rows = rows[far & walk.affords(rows, walk.probes(turn))]
        if not len(rows):
            break
        walk.jump(rows, turn)
        walk.onto_boundary(rows)
    return walk.oracle.reply(walk.best, walk.best_distance, epsilon)


class _Walk:
    def __init__(self, oracle: Oracle, *, norm: str, queries: int, seed: int) -> None:
        self.oracle, self.norm, self.queries = oracle, norm, queries
        self.rngs = [generator_for(item, seed=seed, purpose="hop") for item in oracle.clean]
        count, self.size = oracle.clean.shape
        # theta: how near the boundary a search by halves must come (appendix).
        self.precision = self.size**-1.5 if norm == "l2" else self.size**-2.0
        self.now: Flat = oracle.clean.copy()
        self.best: Flat = oracle.clean.copy()
        self.best_distance = np.full(count, np.inf)
        self.found: Flags = np.zeros(count, dtype=bool)

    def affords(self, rows: Rows, cost: int) -> Flags:
        """Answers which points may still ask this often."""
        affords: Flags = self.oracle.asked[rows] + cost <= self.queries
        return affords

    def probes(self, turn: int) -> int:
        """Returns how many probes the gradient estimate of a turn takes."""
        return max(1, min(int(FIRST_PROBES * turn**0.5), self.queries // 4))

    def started(self) -> Rows:
        """Finds any point of another class: the negative, a plain shade, or noise."""
        low, high = self.oracle.low, self.oracle.high
        open_ = np.arange(len(self.now))
        for attempt in range(4 + NOISE_STARTS):
            open_ = open_[~self.found[open_] & self.affords(open_, 1)]
            if not len(open_):
                break
            clean = self.oracle.clean[open_]
            if attempt == 0:
                start = np.float32(low + high) - clean
            elif attempt < 4:
                shade = low + (high - low) * (attempt - 1) / 2
                start = np.full_like(clean, shade)
            else:
                start = np.stack([self.rngs[row].uniform(low, high, self.size) for row in open_])
            self._keep(open_, start.astype(np.float32), self.oracle.breaks(open_, start))
        return np.flatnonzero(self.found)

    def onto_boundary(self, rows: Rows) -> None:
        """Halves the way between the clean input and where each point stands (algorithm 1)."""
        safe, broken = np.zeros(len(rows)), np.ones(len(rows))
        start = self.now[rows].copy()
        while len(rows) and (broken - safe).max(initial=0) > self.precision:
            open_ = np.flatnonzero((broken - safe > self.precision) & self.affords(rows, 1))
            if not len(open_):
                break
            middle = (safe[open_] + broken[open_]) / 2
            tried = self._between(rows[open_], start[open_], middle)
            falls = self.oracle.breaks(rows[open_], tried)
            broken[open_] = np.where(falls, middle, broken[open_])
            safe[open_] = np.where(falls, safe[open_], middle)
            self._keep(rows[open_], tried, falls)

    def jump(self, rows: Rows, turn: int) -> None:
        """Steps along the estimated gradient, half as far until the step still breaks."""
        way = np.concatenate([self._estimated(part, turn) for part in self._parts(rows, turn)])
        stride = self._distance(rows, self.now[rows]) / np.sqrt(turn)
        start = self.now[rows].copy()
        open_ = np.arange(len(rows))
        for _ in range(SHORTENINGS):
            open_ = open_[self.affords(rows[open_], 1)]
            if not len(open_):
                return
            tried = self._clipped(start[open_] + stride[open_, None] * way[open_])
            falls = self.oracle.breaks(rows[open_], tried)
            self._keep(rows[open_], tried, falls)
            open_ = open_[~falls]
            stride[open_] /= 2

    def _estimated(self, rows: Rows, turn: int) -> Floats:
        """Monte Carlo estimate with the mean answer as baseline (equations 9 and 16)."""
        count = self.probes(turn)
        reach = self._reach(rows, turn)[:, None, None]
        noise = np.stack([self._noise(row, count) for row in rows])
        now = self.now[rows][:, None].astype(np.float64)
        moved = self._clipped(now + reach * noise)
        noise = (moved - now) / np.maximum(reach, 1e-12)
        asked = np.repeat(rows, count)
        falls = self.oracle.breaks(asked, moved.reshape(len(asked), -1)).reshape(len(rows), count)
        signs = np.where(falls, 1.0, -1.0)
        mean = signs.mean(axis=1, keepdims=True)
        weights = np.where(np.abs(mean) == 1, signs, signs - mean)
        slope = np.einsum("pk,pkd->pd", weights, noise)
        if self.norm == "linf":
            signs_of: Floats = np.sign(slope)
            return signs_of
        slope /= np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)
        return np.asarray(slope)

    def _noise(self, row: int, count: int) -> Floats:
        shape = (count, self.size)
        rng = self.rngs[row]
        drawn = rng.normal(size=shape) if self.norm == "l2" else rng.uniform(-1, 1, shape)
        unit: Floats = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return unit

    def _reach(self, rows: Rows, turn: int) -> Floats:
        """Returns delta t, how far probes lie from the point (section III-C)."""
        if turn == 1:
            return np.full(len(rows), FIRST_REACH * (self.oracle.high - self.oracle.low))
        share = self.size**0.5 if self.norm == "l2" else self.size
        distance = self._distance(rows, self.now[rows])
        reach: Floats = share * self.precision * distance
        return reach

    def _between(self, rows: Rows, start: Flat, share: Floats) -> Flat:
        clean = self.oracle.clean[rows].astype(np.float64)
        change = start - clean
        if self.norm == "l2":
            change = change * share[:, None]
        else:
            limit = share[:, None] * np.abs(change).max(axis=1, keepdims=True)
            change = np.clip(change, -limit, limit)
        return self._clipped(clean + change)

    def _distance(self, rows: Rows, moved: Flat) -> Floats:
        change = moved.astype(np.float64) - self.oracle.clean[rows]
        order = 2 if self.norm == "l2" else np.inf
        distance: Floats = np.linalg.norm(change, order, axis=1)
        return distance

    def _clipped(self, moved: NDArray[np.floating]) -> Flat:
        clipped: Flat = np.clip(moved, self.oracle.low, self.oracle.high).astype(np.float32)
        return clipped

    def _keep(self, rows: Rows, moved: Flat, falls: Flags) -> None:
        fallen, moved = rows[falls], moved[falls]
        self.now[fallen] = moved
        self.found[fallen] = True
        distance = self._distance(fallen, moved)
        closer = distance < self.best_distance[fallen]
        self.best[fallen[closer]] = moved[closer]
        self.best_distance[fallen[closer]] = distance[closer]

    def _parts(self, rows: Rows, turn: int) -> list[Rows]:
        return blocks_of(rows, self.probes(turn) * self.size)
