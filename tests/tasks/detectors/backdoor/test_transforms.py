"""Bendings and filters: what they leave alone, how far they go, and that both sides agree."""

import numpy as np
import pytest
import torch

from tasks.checks.backdoor import changes
from tasks.detectors.backdoor.controls import Change
from tasks.detectors.backdoor.inversion import Shape, painted
from tasks.detectors.backdoor.transforms import KNOTS, MOST_BENT, bent, flow_of, toned

ITEMS = [(1, 8, 8), (3, 12, 20)]
BOUNDS = (-1.0, 3.0)


def pictures(item: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return BOUNDS[0] + (BOUNDS[1] - BOUNDS[0]) * torch.rand((5, *item), generator=generator)


@pytest.mark.parametrize("item", ITEMS, ids=str)
@pytest.mark.parametrize("shape", [Shape.WARP, Shape.TONE])
@pytest.mark.parametrize("seed", range(3))
def test_both_sides_paint_the_same(item: tuple[int, ...], shape: Shape, seed: int) -> None:
    inputs, change = pictures(item), Change.drawn(shape, item, BOUNDS, seed=seed)
    arrays = (inputs.numpy(), change.strength.numpy(), change.pattern.numpy())
    here = changes.bent(*arrays) if shape is Shape.WARP else changes.toned(*arrays, BOUNDS)
    there = change.on(inputs)
    assert here.dtype == np.float32
    assert here == pytest.approx(there.numpy(), abs=1e-4)
    assert np.abs(here - inputs.numpy()).mean() > 0.02
    assert here.min() >= BOUNDS[0] - 1e-5
    assert here.max() <= BOUNDS[1] + 1e-5


@pytest.mark.parametrize("shape", [Shape.WARP, Shape.TONE])
def test_without_strength_nothing_changes(shape: Shape) -> None:
    change = Change.drawn(shape, (3, 12, 20), BOUNDS, seed=0)
    inputs = pictures((3, 12, 20))
    seen = painted(inputs, torch.zeros(1, 1, 1), change.pattern, BOUNDS, shape)
    assert seen.numpy() == pytest.approx(inputs.numpy(), abs=1e-5)


def test_one_trigger_per_job_is_put_on_the_batch_of_that_job() -> None:
    inputs = torch.stack([pictures((1, 8, 8)), pictures((1, 8, 8)) + 0.1])
    fields = torch.randn(2, 1, 2, KNOTS, KNOTS, generator=torch.Generator().manual_seed(2))
    strength = torch.tensor([0.1, 0.5]).view(2, 1, 1, 1, 1)
    together = bent(inputs, strength, flow_of(fields, 8, 8))
    for job in range(2):
        alone = bent(inputs[job], strength[job], flow_of(fields[job], 8, 8))
        assert torch.allclose(together[job], alone, atol=1e-6)


def test_a_flow_is_as_long_as_its_strength_says_whatever_the_field() -> None:
    field = torch.randn(3, 2, KNOTS, KNOTS, generator=torch.Generator().manual_seed(3))
    for factor in (0.01, 100.0):
        means = flow_of(factor * field, 9, 7).abs().mean((1, 2, 3))
        assert means.tolist() == pytest.approx([MOST_BENT] * 3, rel=1e-4)


def test_a_shift_to_the_side_reads_the_neighbour() -> None:
    inputs = torch.arange(16.0).view(1, 1, 4, 4)
    flow = torch.stack([torch.full((4, 4), 1 / 3), torch.zeros(4, 4)])
    seen = bent(inputs, torch.ones(1, 1, 1), flow)[0, 0]
    assert seen[0].tolist() == pytest.approx([1, 2, 3, 3])  # the border goes on
    here = changes.bent(inputs.numpy(), np.ones((1, 1, 1)), flow.numpy())[0, 0]
    assert here[3].tolist() == pytest.approx([13, 14, 15, 15])


def test_a_filter_turns_black_to_white_and_back() -> None:
    curve = torch.tensor([[-20.0, 0.0]]).view(1, 2, 1)
    ends = torch.tensor([-1.0, 3.0]).view(1, 1, 1, 2)
    seen = toned(ends, torch.ones(1, 1, 1), curve, BOUNDS)
    assert seen.flatten().tolist() == pytest.approx([3, -1], abs=1e-4)
