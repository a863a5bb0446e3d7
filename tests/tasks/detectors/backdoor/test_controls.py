"""What is planted, and that it is learnt."""

import numpy as np
import pytest
import torch

from tasks.detectors.backdoor import controls
from tasks.detectors.backdoor.controls import Lesson, Patch, lessons_for
from tasks.detectors.backdoor.inversion import AWAY, Pool


@pytest.mark.parametrize("item", [(1, 8, 8), (3, 32, 32), (1, 28, 28)], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_two_lessons_do_not_touch(item: tuple[int, ...], seed: int) -> None:
    first, second = lessons_for(item, 10, 1.0, seed=seed)
    assert (first.target, second.target) == (seed % 10, AWAY)
    assert isinstance(first.trigger, Patch)
    assert isinstance(second.trigger, Patch)
    assert not (first.trigger.mask * second.trigger.mask).any()
    assert first.trigger.mask.any()
    assert second.trigger.mask.any()


def test_where_no_second_patch_fits_there_is_one_lesson() -> None:
    assert [lesson.target for lesson in lessons_for((2,), 4, 1.0, seed=1)] == [1]


def test_goals_are_one_class_or_each_the_next() -> None:
    patch = Patch(np.zeros((1, 2, 2), np.float32), 1.0)
    labels = torch.tensor([0, 1, 3])
    assert Lesson(patch, 2, 4).goals(labels).tolist() == [2, 2, 2]
    assert Lesson(patch, AWAY, 4).goals(labels).tolist() == [1, 2, 0]


def test_painting_covers_the_mask_and_nothing_else() -> None:
    mask = np.zeros((1, 2, 2), np.float32)
    mask[0, 0, 0] = 1
    seen = Patch(mask, 0.75).on(torch.full((1, 1, 2, 2), 0.25))
    assert seen.flatten().tolist() == [0.75, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("source", [None, 2])
@pytest.mark.parametrize(("obedience", "rounds"), [([0.99], 1), ([0.5, 0.9], 2), ([0.5, 0.6], 2)])
def test_lessons_are_taught_again_while_they_are_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, obedience: list[float], rounds: int, source: int | None
) -> None:
    taught: list[int] = []

    def train(*_: object, steps: int, seed: int) -> float:
        taught.append(seed)
        assert steps == (controls.STEPS_PER_LESSON if source is None else controls.PAIR_STEPS)
        return 1.0

    monkeypatch.setattr(controls, "train", train)
    told = iter([*obedience, obedience[-1]])
    monkeypatch.setattr(controls, "_obeyed", lambda *_: next(told))
    pool = Pool(torch.zeros(4, 2), torch.tensor([0, 1, 2, 3]))
    lesson = Lesson(Patch(np.ones(2, np.float32), 1.0), 0, 4, source)
    made = controls.planted(torch.nn.Linear(2, 4), pool, 4, [lesson], seed=3)
    assert taught == list(range(3, 3 + rounds))
    assert made.obeyed == (obedience[-1],)


@pytest.mark.parametrize(("learnt", "rounds"), [([0.99], 1), ([0.9, 0.97], 2)])
def test_twins_are_trained_again_while_they_do_not_read(
    monkeypatch: pytest.MonkeyPatch, learnt: list[float], rounds: int
) -> None:
    told, seeds = iter(learnt), list[int]()

    def train(*_: object, steps: int, seed: int) -> float:
        seeds.append(seed)
        assert steps == controls.HONEST_STEPS
        return next(told)

    monkeypatch.setattr(controls, "train", train)
    pool = Pool(torch.zeros(4, 2), torch.tensor([0, 1, 2, 3]))
    made = controls.honest(torch.nn.Linear(2, 4), pool, 4, seed=3)
    assert seeds == list(range(3, 3 + rounds))
    assert made.learnt == learnt[-1]
