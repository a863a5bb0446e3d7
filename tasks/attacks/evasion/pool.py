"""The active set: attempts of one attack on many points, side by side in one full batch.

An attempt leaves the batch at once when its point is broken (by itself or by another attempt on the
same point: a gate needs one witness) or when it has used its steps; waiting attempts take the free
places. Attempts on all aims and restarts share the batch. Every attempt keeps its own iteration and
its own randomness, so its way does not depend on its neighbours. Memory grows with the batch.

Searches gain less with every doubling of their effort. Where asked to, the pool gives an attempt up
when a gain like that of the last doubling, repeated for each doubling that is left, would not break
its point. Whoever wants every step of every attempt leaves the patience out.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target, product

MOST_SLOTS = 256
SLOT_VALUES = 1 << 20
REFILL = 0.75
"""Share of the batch below which waiting attempts are let in."""

LIMIT = float(np.finfo(np.float32).max)


class Attempt(NamedTuple):
    """One search: on which point, towards which class (-1: none), in which restart."""

    point: int
    aim: int
    restart: int


class View(NamedTuple):
    """Where attempts stand after one look, one row per attempt."""

    now: torch.Tensor
    margins: torch.Tensor
    """Best wrong score minus the true one at ``now``: above zero it is a witness."""
    done: torch.Tensor
    best: torch.Tensor
    """What to show for the attempt if it ends without a witness."""
    heights: torch.Tensor
    """The margins at ``best``."""
    spent: torch.Tensor
    """Steps or queries used so far."""


State = TypeVar("State", bound=tuple[torch.Tensor, ...])


class Search(Protocol[State]):
    """An attack as the pool drives it. A state is a NamedTuple of tensors, one row per attempt."""

    def begin(self, attempts: list[Attempt]) -> State:
        """Returns the state of attempts that have not looked yet."""

    def look(self, state: State) -> tuple[State, View]:
        """Asks the target where the attempts stand and learns from the answers."""

    def move(self, state: State) -> State:
        """Takes the next step with attempts that go on."""


class Patience:
    """Decides which attempts are not worth going on with.

    Args:
        most: Steps or queries that an attempt may use in all.
        first: After how many of them its height is first noted; it is judged at every doubling of
            them from there on.
    """

    def __init__(self, most: int, first: int) -> None:
        self.most, self.first = most, first
        self.rung = np.zeros(0)
        self.noted = np.zeros(0)

    def welcome(self, count: int) -> None:
        """Takes in attempts that have not looked yet."""
        self.rung = np.concatenate([self.rung, np.full(count, -1.0)])
        self.noted = np.concatenate([self.noted, np.full(count, -np.inf)])

    def hopeless(
        self, heights: NDArray[np.floating], spent: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Says whom to give up, from where they stand and what they have used (m,)."""
        heights = np.maximum(heights, -LIMIT)  # differences of infinities are no numbers
        rung = np.floor(np.log2(np.maximum(spent, 1) / self.first))
        due = rung > self.rung
        judged = due & (self.rung >= 0)
        doublings = np.log2(self.most / np.maximum(spent, 1))
        gain = np.subtract(heights, self.noted, where=judged, out=np.zeros(len(due)))
        self.rung = np.where(due & (rung >= 0), rung, self.rung)
        self.noted = np.where(due, heights, self.noted)
        given_up: NDArray[np.bool_] = judged & (heights + gain * doublings < 0)
        return given_up

    def keep(self, going: NDArray[np.bool_]) -> None:
        """Forgets attempts that have left."""
        self.rung, self.noted = self.rung[going], self.noted[going]


class Pool:
    """Points under attack: which are broken, by what, and how near the others came.

    Args:
        target: Victim; its passes are counted from here on.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
    """

    def __init__(self, target: Target, inputs: Images, labels: Labels) -> None:
        self.target = target
        self.inputs = np.ascontiguousarray(inputs, dtype=np.float32)
        self.labels = np.ascontiguousarray(labels, dtype=np.int64)
        self.capacity = max(1, min(MOST_SLOTS, SLOT_VALUES // product(target.input_shape)))
        self.candidates = self.inputs.copy()
        self.found = np.zeros(len(labels), dtype=bool)
        self.margins = np.full(len(labels), -np.inf)
        # One place more than there are classes: attempts without an aim use the last.
        self.aimed = np.full((len(labels), target.classes + 1), -np.inf)
        self._spent = target.meter.forwards, target.meter.backwards

    def run(
        self,
        search: Search[State],
        attempts: Iterable[Attempt],
        patience: Patience | None = None,
    ) -> None:
        """Drives attempts until each has broken its point, used its steps or been given up."""
        waiting = iter(attempts)
        under_way: list[Attempt] = []
        state: State | None = None
        while True:
            if len(under_way) <= self.capacity * REFILL:
                fresh = self._next(waiting, self.capacity - len(under_way))
                if fresh:
                    begun = search.begin(fresh)
                    state = begun if state is None else joined(state, begun)
                    under_way += fresh
                    if patience is not None:
                        patience.welcome(len(fresh))
            if state is None or not under_way:
                return
            state, view = search.look(state)
            if patience is not None:
                hopeless = patience.hopeless(view.heights.cpu().numpy(), view.spent.cpu().numpy())
                view = view._replace(
                    done=view.done | torch.from_numpy(hopeless).to(view.done.device)
                )
            going = self._noted(under_way, view)
            if not going.all():
                if patience is not None:
                    patience.keep(going)
                state = kept(state, torch.from_numpy(going))
                under_way = list(itertools.compress(under_way, going))
            if under_way:
                state = search.move(state)

    def reply(self, **arrays: NDArray[np.generic]) -> Reply:
        """Returns what came of it: the arrays every evasion attack answers with, and its cost.

        ``candidates`` (like the inputs: the witness, or the best try), ``found`` (n,), ``margins``
        (n,: how near each came, above zero when found) and ``aimed`` (n, classes: the same by the
        class that was aimed at). Never tried is -FLT_MAX.
        """
        forwards = self.target.meter.forwards - self._spent[0]
        backwards = self.target.meter.backwards - self._spent[1]
        return Reply(
            {
                "candidates": self.candidates,
                "found": self.found,
                "margins": _finite(self.margins),
                "aimed": _finite(self.aimed[:, :-1]),
                **arrays,
            },
            {"passes": forwards + backwards, "queries": forwards},
        )

    def _next(self, waiting: Iterator[Attempt], most: int) -> list[Attempt]:
        open_ = (attempt for attempt in waiting if not self.found[attempt.point])
        return list(itertools.islice(open_, most))

    def _noted(self, under_way: list[Attempt], view: View) -> NDArray[np.bool_]:
        """Keeps witnesses and best tries; returns which attempts go on (m,)."""
        margins, done = view.margins.cpu().numpy(), view.done.cpu().numpy()
        points = np.fromiter((attempt.point for attempt in under_way), np.int64, len(under_way))
        for row in np.flatnonzero((margins > 0) | done).tolist():
            self._note(under_way[row], row, float(margins[row]), view)
        going: NDArray[np.bool_] = ~(done | self.found[points])
        return going

    def _note(self, attempt: Attempt, row: int, margin: float, view: View) -> None:
        point, broken = attempt.point, margin > 0
        height = margin if broken else float(view.heights[row])
        self.aimed[point, attempt.aim] = max(self.aimed[point, attempt.aim], height)
        if self.found[point] or not (broken or height > self.margins[point]):
            return
        shown = view.now if broken else view.best
        self.candidates[point] = shown[row].cpu().numpy()
        self.margins[point] = height
        self.found[point] = broken


def kept(state: State, mask: torch.Tensor) -> State:
    """Returns the rows of a state where ``mask`` is true."""
    return type(state)(*(field[mask.to(field.device)] for field in state))


def joined(state: State, other: State) -> State:
    """Returns the rows of one state, then those of the other."""
    return type(state)(*(torch.cat(pair) for pair in zip(state, other, strict=True)))


def attempts(aims: Labels, restarts: int) -> Iterator[Attempt]:
    """Yields every restart on every aim (n, k) of every point: all first aims before any second."""
    for restart in range(restarts):
        for rank in range(aims.shape[1]):
            for point in range(len(aims)):
                yield Attempt(point, int(aims[point, rank]), restart)


def closest_aims(target: Target, inputs: Images, labels: Labels, most: int) -> Labels:
    """Returns the wrong classes of each point, the highest scored first (n, up to ``most``)."""
    scores = target.scores(inputs).astype(np.float64)
    scores[np.arange(len(labels)), labels] = -np.inf
    ranked = np.argsort(-scores, axis=1, kind="stable")
    return ranked[:, : min(most, target.classes - 1)]


def _finite(heights: NDArray[np.float64]) -> NDArray[np.float32]:
    finite: NDArray[np.float32] = np.clip(heights, -LIMIT, LIMIT).astype(np.float32)
    return finite
