"""The active set: who is in the batch, who leaves, and what is given up."""

import math
from typing import NamedTuple

import numpy as np
import torch

from tasks.attacks.evasion.linear_control import linear_target
from tasks.attacks.evasion.pool import Attempt, Patience, Pool, View, attempts
from tasks.targets.torch_target import TorchTarget

STEPS = 10


def flat_target() -> TorchTarget:
    return linear_target(np.zeros((3, 2), np.float32), np.zeros(3, np.float32))


class Script(NamedTuple):
    points: torch.Tensor
    aims: torch.Tensor
    step: torch.Tensor


class Scripted:
    """An attack whose success is written down: (point, aim) to the step that breaks it."""

    def __init__(self, breaks: dict[tuple[int, int], int]) -> None:
        self.breaks = breaks
        self.batches: list[list[tuple[int, int]]] = []

    def begin(self, attempts: list[Attempt]) -> Script:
        points = torch.tensor([attempt.point for attempt in attempts])
        aims = torch.tensor([attempt.aim for attempt in attempts])
        return Script(points, aims, torch.zeros(len(attempts), dtype=torch.int64))

    def look(self, state: Script) -> tuple[Script, View]:
        pairs = list(zip(state.points.tolist(), state.aims.tolist(), strict=True))
        self.batches.append(pairs)
        margins = torch.tensor(
            [
                1.0 if self.breaks.get(pair) == step else -1.0 - pair[1]
                for pair, step in zip(pairs, state.step.tolist(), strict=True)
            ]
        )
        now = torch.stack([state.points, state.aims], dim=1).float()
        done = state.step + 1 >= STEPS
        return state, View(now, margins, done, now, margins, state.step + 1)

    def move(self, state: Script) -> Script:
        return state._replace(step=state.step + 1)


def run(breaks: dict[tuple[int, int], int], *, points: int, aims: int) -> tuple[Pool, Scripted]:
    pool = Pool(flat_target(), np.zeros((points, 2), np.float32), np.zeros(points, np.int64))
    script = Scripted(breaks)
    classes = np.tile(np.arange(aims), (points, 1))
    pool.run(script, attempts(classes, 1))
    return pool, script


def test_a_broken_point_leaves_with_all_its_attempts() -> None:
    pool, script = run({(0, 1): 2}, points=2, aims=2)
    assert pool.found.tolist() == [True, False]
    assert len(script.batches) == STEPS
    assert script.batches[2] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert script.batches[3] == [(1, 0), (1, 1)]
    np.testing.assert_array_equal(pool.candidates[0], [0, 1])


def test_waiting_attempts_take_free_places_and_skip_broken_points() -> None:
    points = 400  # more than the batch holds
    pool, script = run({(0, 0): 0}, points=points, aims=2)
    assert max(len(batch) for batch in script.batches) == pool.capacity
    asked = {pair for batch in script.batches for pair in batch}
    assert asked == {(point, aim) for point in range(points) for aim in range(2)} - {(0, 1)}


def test_the_best_try_is_shown_and_every_aim_remembered() -> None:
    pool, _ = run({}, points=1, aims=3)
    reply = pool.reply()
    assert not reply.arrays["found"].any()
    np.testing.assert_array_equal(reply.arrays["candidates"], [[0, 0]])
    np.testing.assert_array_equal(reply.arrays["aimed"], [[-1, -2, -3]])
    assert np.isfinite(reply.arrays["margins"]).all()


def judged(heights: list[float], *, first: int = 2, most: int = 16) -> int | None:
    """Returns after how many steps an attempt with these heights is given up."""
    patience = Patience(most, first)
    patience.welcome(1)
    for spent, height in enumerate(heights, start=1):
        if patience.hopeless(np.array([height]), np.array([spent])).any():
            return spent
    return None


def test_only_who_cannot_get_there_is_given_up() -> None:
    steady = [-8.0 + 2.1 * math.log2(step) for step in range(1, 17)]
    stuck = [-8.0] * 16
    late = [-8.0] * 2 + [-5.0] * 14
    assert judged(steady) is None
    assert judged(stuck) == 4
    assert judged(late) == 8  # three doublings at 3 each would have done; then nothing came
    assert judged([-np.inf] * 16) == 4


def test_places_in_the_batch_do_not_mix_up_patience() -> None:
    patience = Patience(16, 2)
    patience.welcome(2)
    for spent in (1, 2, 3):
        patience.hopeless(np.array([-8.0, -8.0 + spent]), np.array([spent, spent]))
    patience.keep(np.array([False, True]))
    assert not patience.hopeless(np.array([-4.0]), np.array([4])).any()
