"""The search on a model whose answer is known: it reads the brightest of four corners."""

import pytest
import torch
from torch import nn

from tasks.detectors.backdoor.inversion import AWAY, Job, Pool, Shape, _judged, invert, start

BOUNDS = (0.0, 1.0)


class Corners(nn.Module):
    """Answers the brightest corner of a 6 by 6 picture; with ``hidden``, pixel (2, 2) adds one."""

    def __init__(self, *, hidden: bool) -> None:
        super().__init__()
        self.hidden = hidden

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        places = [inputs[:, 0, row : row + 2, column : column + 2].mean((1, 2))
                  for row in (0, 4) for column in (0, 4)]  # fmt: skip
        scores = 10 * torch.stack(places, 1)
        if not self.hidden:
            return scores
        on = inputs[:, 0, 2, 2].clamp(0, 1)[:, None]
        return (1 - on) * scores + on * 3 * scores.roll(1, dims=1)


@pytest.fixture(scope="module")
def pool() -> Pool:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(20)
    inputs = 0.1 * torch.rand(80, 1, 6, 6, generator=generator)
    inputs[:, 0, 2, 2] = 0
    for row, label in enumerate(labels.tolist()):
        top, left = 4 * (label // 2), 4 * (label % 2)
        inputs[row, 0, top : top + 2, left : left + 2] += 0.6
    return Pool(inputs, labels)


def smallest(pool: Pool, *, hidden: bool) -> list[float]:
    jobs = [*(Job(label) for label in range(4)), Job(None)]
    generator = torch.Generator().manual_seed(1)
    begin = start(jobs, (1, 6, 6), Shape.PATCH, generator=generator)
    model = Corners(hidden=hidden)
    found = invert(
        model, pool, jobs, begin, bounds=BOUNDS, steps=300, batch=16, generator=generator
    )
    sizes: list[float] = found.sizes.tolist()
    return sizes


def test_a_hidden_pixel_that_moves_each_class_on_is_the_smallest_trigger(pool: Pool) -> None:
    *classes, away = smallest(pool, hidden=True)
    assert away < 1.5 / 36  # one pixel of 36
    assert min(classes) > 2 * away


def test_without_it_moving_all_classes_takes_as_much_as_moving_them_to_one(pool: Pool) -> None:
    *classes, away = smallest(pool, hidden=False)
    assert away > 0.7 * min(classes)


def test_a_row_is_judged_by_its_goal_or_by_leaving_its_class() -> None:
    scores = torch.tensor([[5.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    labels, goals = torch.tensor([0, 1]), torch.tensor([AWAY, AWAY])
    cost, reached = _judged(scores, labels, goals)
    assert reached.tolist() == [False, True]
    assert cost[0] > 4
    assert cost[1] < 0.1
    cost, reached = _judged(scores, labels, torch.tensor([2, 0]))
    assert reached.tolist() == [False, True]
    assert torch.allclose(cost, nn.functional.cross_entropy(
        scores, torch.tensor([2, 0]), reduction="none"))  # fmt: skip


def test_every_picture_counts_for_a_trigger_away_from_all(pool: Pool) -> None:
    assert len(pool.rows_for(Job(None))) == len(pool.labels)
    assert (pool.labels[pool.rows_for(Job(2))] != 2).all()
