"""The search on a model whose answer is known: it reads the brightest of four corners."""

import pytest
import torch
from torch import nn

from tasks.detectors.backdoor.inversion import (
    AWAY,
    Job,
    Pool,
    Search,
    Shape,
    _judged,
    invert,
    start,
)

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


def searching(pool: Pool, jobs: list[Job], *, seed: int = 1) -> Search:
    generator = torch.Generator().manual_seed(seed)
    begin = start(jobs, (1, 6, 6), Shape.PATCH, generator=generator)
    model = Corners(hidden=True)
    return Search(model, pool, jobs, begin, bounds=BOUNDS, generator=generator)


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


def test_a_search_that_paused_goes_on_as_if_it_had_not(pool: Pool) -> None:
    jobs = [Job(0), Job(None)]
    paused = searching(pool, jobs)
    paused.run(20, 8)
    found, whole = paused.run(20, 8), searching(pool, jobs).run(40, 8)
    for one, other in zip(found, whole, strict=True):
        torch.testing.assert_close(one, other)


def test_triggers_left_behind_cost_nothing_and_the_others_go_on_from_where_they_are(
    pool: Pool,
) -> None:
    search = searching(pool, [Job(0), Job(1), Job(None)])
    before = search.run(60, 16)
    asked: list[int] = []
    search.module.register_forward_pre_hook(lambda _, given: asked.append(len(given[0])))
    search.keep([2])
    after = search.run(60, 16)
    assert asked == [16] * 60
    assert len(after.sizes) == 1
    assert after.sizes[0] < before.sizes[2]


def test_a_trigger_can_be_asked_to_send_each_class_to_one_of_its_own(pool: Pool) -> None:
    hidden, other = Job(None, mapping=(1, 2, 3, 0)), Job(None, mapping=(3, 0, 1, 2))
    found = searching(pool, [hidden, other]).run(300, 16)
    assert found.sizes[0] < 1.5 / 36  # what the hidden pixel does
    assert found.sizes[1] > 3 * found.sizes[0]


def test_classes_of_which_there_is_no_picture_are_not_asked_for() -> None:
    labels = torch.arange(3).repeat(8)  # the model knows a fourth
    few = Pool(torch.rand(24, 1, 6, 6, generator=torch.Generator().manual_seed(2)), labels)
    found = searching(few, [Job(0), Job(None), Job(None, mapping=(1, 2, 3, 0))]).run(2, 4)
    assert len(found.sizes) == 3


def test_triggers_are_put_in_the_place_of_others(pool: Pool) -> None:
    found = searching(pool, [Job(0), Job(1), Job(2)]).best
    other = found.pick([0])._replace(sizes=torch.tensor([0.5]))
    made = found.put([2], other)
    assert made.sizes.tolist() == [1.0, 1.0, 0.5]
    torch.testing.assert_close(made.mask_logits[2], found.mask_logits[0])


def test_a_guess_lies_between_what_worked_and_what_is_tried(pool: Pool) -> None:
    search = searching(pool, [Job(0), Job(None)])
    worked = search.run(40, 16).sizes
    tried = torch.sigmoid(search.state.mask.values).flatten(1).mean(1)
    torch.testing.assert_close(search.guesses().square(), worked * tried)
