"""Path finding: a decision tree is the boxes on which its answer does not change.

Source: Tramer et al. 2016, arXiv 1609.02943, section 4.2. A leaf of an axis-parallel tree is a
box, so from any point of it a bisection along each feature finds the box's faces exactly, and a
step through a face finds the next leaf. Leaves are told apart by their answers; where two leaves
answer alike (fully grown trees), boxes come out too large and the copy says so by disagreeing.
"""

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Access, Images, Scores, Target

HALVINGS = 26
SCOUTS = 128
STEPPED = 0.5
"""Share of different answers above which a model answers continuously and is no tree."""
MOST_LEAVES = 4096
Floats = NDArray[np.float64]
Ask = Callable[[Floats], Scores]


def path_finding(target: Target, *, pool: Images, budget: int, seed: int = 0) -> Reply:
    """Finds the leaves that a decision tree would have.

    Args:
        target: Victim that reveals scores; whether it is a tree is for the caller to find out.
        pool: (m, …) inputs that the thief owns, to begin with.
        budget: Most queries, about.
        seed: Equal seeds give equal boxes.

    Returns:
        Arrays ``low`` and ``high`` (leaves, features), faces of flattened raw inputs (the lower one
        outside), and ``answers`` (leaves, classes); none when the target answers continuously.
        Values ``queries`` and ``covered``: whether every point tried lies in a box.
    """
    before = target.meter.forwards
    shape = target.input_shape

    def ask(rows: Floats) -> Scores:
        return target.scores(rows.reshape(-1, *shape).astype(np.float32))

    search = _Search(ask, pool.reshape(len(pool), -1), target.bounds, budget, seed)
    if target.access is not Access.LABELS:
        search.run()
    spent = target.meter.forwards - before
    return Reply(
        {
            "low": search.stacked("low"),
            "high": search.stacked("high"),
            "answers": np.stack(search.answers)
            if search.answers
            else np.zeros((0, target.classes), np.float32),
        },
        {"passes": spent, "queries": spent, "covered": search.covered},
    )


class _Search:
    def __init__(
        self, ask: Ask, pool: Images, bounds: tuple[float, float], budget: int, seed: int
    ) -> None:
        self.budget, self.asked = budget, 0
        self.features = pool.shape[1]
        self.bounds = bounds
        self.low: list[Floats] = []
        self.high: list[Floats] = []
        self.answers: list[NDArray[np.float32]] = []
        self.covered = False
        self._ask = ask
        self._pool = pool.astype(np.float64)
        self._rng = np.random.default_rng([seed, 42])

    def run(self) -> None:
        """Follows faces until nothing new turns up, then looks for gaps, until none is found."""
        scouts = self._scouts()
        answers = self._asked(scouts)
        if len(np.unique(answers, axis=0)) > STEPPED * len(scouts):
            return
        while self.asked < self.budget and len(self.answers) < MOST_LEAVES:
            gaps = scouts[~self._boxed(scouts)]
            if not len(gaps):
                self.covered = True
                return
            self._followed(deque(gaps))
            scouts = self._scouts()

    def stacked(self, name: str) -> Floats:
        """Returns one side of all boxes (leaves, features)."""
        found: list[Floats] = getattr(self, name)
        return np.stack(found) if found else np.zeros((0, self.features))

    def _followed(self, queue: "deque[Floats]") -> None:
        while queue and self.asked < self.budget and len(self.answers) < MOST_LEAVES:
            point = queue.popleft()
            if not self._boxed(point[None])[0]:
                queue.extend(self._leaf(point))

    def _leaf(self, point: Floats) -> list[Floats]:
        """Finds the box around ``point``; returns a point behind each of its faces."""
        answer = self._asked(point[None])[0]
        low, below = self._faces(point, answer, self.bounds[0])
        high, above = self._faces(point, answer, self.bounds[1])
        self.low.append(np.where(below, low, -np.inf))
        self.high.append(np.where(above, high, np.inf))
        self.answers.append(answer)
        beyond = []
        for faces, found, outwards in ((low, below, -np.inf), (high, above, np.inf)):
            for feature in np.flatnonzero(found):
                other = point.copy()
                other[feature] = np.nextafter(np.float32(faces[feature]), np.float32(outwards))
                beyond.append(np.clip(other, *self.bounds))
        return beyond

    def _faces(
        self, point: Floats, answer: NDArray[np.float32], end: float
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Bisects every feature between the point and one end of the range, all at once."""
        far = np.full(self.features, end)
        found = ~self._same(point, np.arange(self.features), far, answer)
        rows = np.flatnonzero(found)
        near, out = point[rows].copy(), far[rows].copy()
        for _ in range(HALVINGS if len(rows) else 0):
            middle = (near + out) / 2
            same = self._same(point, rows, middle, answer)
            near, out = np.where(same, middle, near), np.where(same, out, middle)
        faces = point.copy()
        faces[rows] = (near + out) / 2
        return faces, found

    def _same(
        self, point: Floats, rows: NDArray[np.int64], values: Floats, answer: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        moved = np.repeat(point[None], len(rows), axis=0)
        moved[np.arange(len(rows)), rows] = values
        same: NDArray[np.bool_] = (self._asked(moved) == answer).all(axis=1)
        return same

    def _boxed(self, points: Floats) -> NDArray[np.bool_]:
        if not self.answers:
            return np.zeros(len(points), dtype=np.bool_)
        return box_of(points, self.stacked("low"), self.stacked("high")) >= 0

    def _scouts(self) -> Floats:
        natural = self._pool[self._rng.integers(0, len(self._pool), SCOUTS // 2)]
        made = self._rng.uniform(*self.bounds, (SCOUTS - len(natural), self.features))
        return np.concatenate([natural, made]).astype(np.float32).astype(np.float64)

    def _asked(self, rows: Floats) -> Scores:
        self.asked += len(rows)
        return self._ask(rows)


def box_of(points: Floats, low: Floats, high: Floats) -> NDArray[np.int64]:
    """Returns the first box that holds each point (n,), -1 where none does."""
    found = np.full(len(points), -1)
    for place in range(len(low) - 1, -1, -1):
        inside = ((points > low[place]) & (points <= high[place])).all(axis=1)
        found[inside] = place
    return found
