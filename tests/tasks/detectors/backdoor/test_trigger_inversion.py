"""What the search for triggers spends, and whom it leaves behind."""

from collections import Counter

import pytest
import torch
from torch import nn

from tasks.detectors.backdoor.inversion import Pool, Shape
from tasks.detectors.backdoor.trigger_inversion import Effort, search_triggers

CLASSES, SIDE, HIDDEN = 10, 5, 7
EFFORT = Effort(steps=100, batch=8, deviations=4.0, seed=3)


class Places(nn.Module):
    """Answers the brightest of ten pixels; the last pixel of all means class seven."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.asked.append(len(inputs))
        flat = inputs.flatten(1)
        push = torch.zeros(CLASSES)
        push[HIDDEN] = 12
        return 4 * (flat[:, :10] + flat[:, 10:20]) + flat[:, -1:] * push


@pytest.fixture(scope="module")
def pool() -> Pool:
    labels = torch.arange(CLASSES).repeat(12)
    inputs = 0.1 * torch.rand(
        len(labels), 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)
    )
    rows = torch.arange(len(labels))
    for place in (0, 10):
        flat = inputs.view(len(labels), -1)
        flat[rows, labels + place] += 0.7
    inputs[..., -1, -1] = 0
    return Pool(inputs, labels)


@pytest.mark.parametrize(("shape", "passes"), [(Shape.PATCH, 9_280), (Shape.BLEND, 3_920)])
def test_most_classes_are_left_behind_once_they_are_ranked(
    shape: Shape, passes: int, pool: Pool
) -> None:
    model = Places()
    found = search_triggers(
        model, pool, shape, EFFORT, item=(1, SIDE, SIDE), classes=CLASSES, bounds=(0.0, 1.0)
    )
    spent = Counter(model.asked)
    assert set(spent) - {len(pool.labels)} == {11 * 8, 6 * 16, 3 * 16}
    assert sum(model.asked) - 2 * len(pool.labels) == passes  # all but the two readings of moves
    assert len(found["sizes"]) == CLASSES


def test_a_hidden_pixel_survives_the_ranking_and_is_the_first_suspect(pool: Pool) -> None:
    found = search_triggers(
        Places(), pool, Shape.PATCH, EFFORT,
        item=(1, SIDE, SIDE), classes=CLASSES, bounds=(0.0, 1.0),
    )  # fmt: skip
    assert found["suspects"].tolist()[0] == HIDDEN
    assert int(found["masks"][0].argmax()) == SIDE * SIDE - 1
    others = sorted(found["sizes"])[1:]
    assert found["sizes"][HIDDEN] < 0.6 * others[0]
