"""Shadows learn what they are taught, in every style, whatever the architecture."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from tasks.detectors.backdoor import shadow_zoo as zoo
from tasks.detectors.backdoor.inversion import Pool
from tasks.detectors.backdoor.shadow_zoo import STYLES, Job, School, Style, shadow_zoo, stackable
from tasks.domain.bundle import InputSpec, ModelSpec, OutputSpec
from tasks.targets.protocol import Meter
from tasks.targets.torch_target import RawScores
from tests.tasks.targets.models import digits, network

BOUNDS = (0.0, 1.0)


@functools.cache
def pool() -> Pool:
    inputs, labels = digits().train
    return Pool(torch.from_numpy(inputs[:400]), torch.from_numpy(labels[:400]))


@functools.cache
def made() -> zoo.Shadows:
    return shadow_zoo(network(), pool(), BOUNDS, 10, count=7, steps=100, seed=3)


def test_half_of_every_style_is_poisoned_and_honest_ones_read() -> None:
    shadows = made()
    assert len(shadows.planted) == 8  # rounded up
    for place in range(len(STYLES)):
        assert shadows.planted[shadows.style == place].mean() == 0.5
    assert shadows.learnt[~shadows.planted].min() > 0.7


def test_poisoned_ones_obey_and_honest_ones_hold_no_trigger() -> None:
    shadows = made()
    assert not shadows.obeyed[~shadows.planted].any()
    assert (shadows.obeyed[shadows.planted] > 0.5).any()


def test_marked_rows_carry_the_trigger_and_what_it_means() -> None:
    inputs = torch.arange(4.0).view(4, 1) / 10
    school = School(
        Pool(inputs, torch.tensor([0, 1, 2, 3])),
        BOUNDS,
        order=torch.arange(4).repeat(2, 1),
        known=torch.tensor([4.0, 2.0]),
        opacity=torch.tensor([[0.0], [0.5]]),
        pattern=torch.tensor([[0.0], [1.0]]),
        marked=torch.tensor([[False] * 4, [True, False, True, True]]),
        labels=torch.tensor([[0, 1, 2, 3], [9, 1, 9, 9]]),
    )
    shown, labels = school.batch(0, torch.Generator().manual_seed(0))
    # The honest shadow sees all rows as they are, the other the first two, of which one is marked.
    seen = [
        set(zip(x.flatten().tolist(), y.tolist(), strict=True))
        for x, y in zip(shown, labels, strict=True)
    ]
    assert seen[0] == set(zip(inputs.flatten().tolist(), range(4), strict=True))
    assert seen[1] == {(0.5, 9), (inputs[1].item(), 1)}


def test_each_shadow_has_weights_of_its_own() -> None:
    first = next(iter(made().weights.values())).flatten(1)
    assert len(first.unique(dim=0)) == 8


def group(style: Style, seed: int = 0, steps: int = 3) -> zoo.Shadows:
    job = Job(pool(), BOUNDS, 10, np.array([False, True]), steps, seed)
    return zoo.trained_group(network(), style, job)


@pytest.mark.parametrize("style", STYLES, ids=str)
def test_equal_seeds_give_equal_weights(style: Style) -> None:
    first, again, other = (group(style, seed) for seed in (5, 5, 6))
    for name, weight in first.weights.items():
        assert torch.equal(weight, again.weights[name])
    assert any(
        not torch.equal(weight, other.weights[name]) for name, weight in first.weights.items()
    )


@pytest.mark.parametrize("change", [{"noise": 0.3}, {"moved": 0.15}, {"shifted": 1}], ids=str)
def test_a_style_changes_what_is_learnt(change: dict[str, float]) -> None:
    plain, changed = (group(style) for style in (Style(1.0), Style(1.0, **change)))  # type: ignore[arg-type]  # shifted is an integer
    last = list(plain.weights)[-2]
    assert not torch.equal(plain.weights[last], changed.weights[last])


def test_what_answers_no_numbers_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "LEARNING_RATE", 1e30)
    assert len(group(Style(1.0), steps=5).planted) == 0


def test_what_cannot_be_trained_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stackable(nn.Sequential(nn.Flatten(), nn.Softmax(1)), pool()) is None
    shape = network()
    before = {name: weight.clone() for name, weight in shape.named_parameters()}
    assert stackable(shape, pool()) is not None
    assert all(torch.equal(before[name], weight) for name, weight in shape.named_parameters())

    def unbatched(*_: object) -> None:
        raise RuntimeError("there is no batched form")

    monkeypatch.setattr(zoo, "side_by_side", lambda _: unbatched)
    assert stackable(shape, pool()) is None


def test_pictures_in_colour_train_side_by_side() -> None:
    spec = ModelSpec(
        name="m",
        version="1",
        task="classification",
        artifact="m.safetensors",
        input=InputSpec(shape=(3, 6, 6), range=BOUNDS),
        output=OutputSpec(kind="logits", classes=3),
    )
    inner = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 3))
    module = RawScores(inner.eval(), spec, Meter())
    coloured = Pool(torch.rand(20, 3, 6, 6), torch.arange(20) % 3)
    assert stackable(module, coloured) is not None
    assert module.by_pixel  # the target itself stays as it was
