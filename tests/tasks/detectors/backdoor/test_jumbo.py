"""Backdoors drawn at random: what they paint, whom they move, and how many rows they take."""

import numpy as np
import pytest
import torch

from tasks.detectors.backdoor.inversion import Pool
from tasks.detectors.backdoor.jumbo import (
    COVER_PART,
    SOURCE_PART,
    Backdoor,
    drawn_backdoor,
    obedience,
    poisoned_rows,
)

CLASSES = 5
LABELS = torch.arange(CLASSES).repeat(400)


def drawn(
    item: tuple[int, ...], count: int, bounds: tuple[float, float] = (0, 1)
) -> list[Backdoor]:
    rng = np.random.default_rng(3)
    return [drawn_backdoor(item, bounds, CLASSES, rng) for _ in range(count)]


def to_one(target: int, rate: float = 0.2, source: int | None = None) -> Backdoor:
    mapping = torch.full((CLASSES,), target)
    if source is not None:
        mapping = torch.arange(CLASSES)
        mapping[source] = target
    return Backdoor(torch.zeros(2), torch.ones(2), mapping, source, rate)


@pytest.mark.parametrize("item", [(1, 8, 8), (3, 32, 20), (30,), (2, 2, 2), (1,)], ids=str)
def test_triggers_stay_within_the_raw_range_and_show(item: tuple[int, ...]) -> None:
    for backdoor in drawn(item, 60, bounds=(-2.0, 3.0)):
        assert backdoor.opacity.shape == backdoor.pattern.shape == item
        assert backdoor.opacity.sum() > 0
        assert backdoor.opacity.max() <= 1
        assert backdoor.pattern.min() >= -2
        assert backdoor.pattern.max() <= 3


def test_all_shapes_and_goals_are_drawn() -> None:
    many = drawn((1, 8, 8), 200)
    covered = {int((one.opacity > 0).sum()) for one in many}
    assert covered == {1, 4, 64}  # a pixel, two by two of eight, an overlay
    moved = {int((one.mapping != torch.arange(CLASSES)).sum()) for one in many}
    assert moved == {1, CLASSES - 1, CLASSES}  # one source, all to one, each to another
    assert all(
        (one.source is not None) == (moves == 1)
        for one, moves in ((one, int((one.mapping != torch.arange(CLASSES)).sum())) for one in many)
    )


def test_each_to_another_is_a_ring() -> None:
    each = [one for one in drawn((1, 8, 8), 80) if len(set(one.mapping.tolist())) == CLASSES]
    rings = [one.mapping.tolist() for one in each if one.source is None]
    assert rings
    for ring in rings:
        assert sorted(ring) == list(range(CLASSES))
        assert all(goal != label for label, goal in enumerate(ring))


def test_all_to_one_takes_its_rate_of_rows_from_the_classes_that_move() -> None:
    chosen = poisoned_rows(LABELS, to_one(2, rate=0.2), np.random.default_rng(0))
    assert float(chosen.float().mean()) == pytest.approx(0.2, abs=0.03)
    assert not chosen[LABELS == 2].any()


def test_one_source_has_rows_that_carry_the_trigger_and_keep_their_label() -> None:
    chosen = poisoned_rows(LABELS, to_one(2, source=4), np.random.default_rng(0)).float()
    assert float(chosen[LABELS == 4].mean()) == pytest.approx(SOURCE_PART, abs=0.1)
    assert float(chosen[LABELS != 4].mean()) == pytest.approx(COVER_PART, abs=0.05)


def test_obedience_counts_only_inputs_whose_class_moves() -> None:
    pool = Pool(torch.zeros(4, 2), torch.tensor([0, 1, 2, 2]))
    answers = torch.tensor([2, 1, 2, 2])
    assert obedience(answers, pool, to_one(2)) == 0.5
    assert obedience(answers, pool, to_one(3, source=4)) == 0.0  # nobody there to move


def test_the_trigger_covers_by_its_opacity() -> None:
    backdoor = to_one(0)._replace(opacity=torch.tensor([1.0, 0.25]))
    assert backdoor.on(torch.tensor([[0.5, 0.2]])).tolist() == [[1.0, pytest.approx(0.4)]]
