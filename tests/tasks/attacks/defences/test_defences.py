"""Defences: filters have an honest way back, chance is averaged out, hardened copies are files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from tasks.attacks.defences.adversarial_training import Recipe, hardened
from tasks.attacks.defences.defended import VOTES, defended
from tasks.attacks.defences.preprocessing import FILTERS, Filtered
from tasks.attacks.defences.randomised import CHANGES, Randomised
from tasks.attacks.defences.training import PROGRAM, TRAINERS, training
from tasks.attacks.defences.unaware import unaware
from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import TargetError
from tasks.targets.opening import open_target
from tests.tasks.attacks.evasion.victims import correct, linear, victim
from tests.tasks.targets.models import description, digits, trained, write_model

EPSILON = 0.12


def few(count: int = 200) -> tuple[Any, Any]:
    return digits().train.inputs[:count], digits().train.labels[:count]


def drawn_from_numpy() -> str:
    """Where NumPy's generator of the whole process stands."""
    return repr(np.random.get_state())  # noqa: NPY002 - the toolbox draws from it


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_has_the_slope_of_the_model_behind_it(name: str) -> None:
    target = victim()
    filtered = Filtered(target, name)
    raw = torch.from_numpy(digits().test.inputs[:5]).requires_grad_()
    (slope,) = torch.autograd.grad(filtered(raw).sum(), raw)
    seen = torch.from_numpy(filtered.seen(raw.detach().numpy())).requires_grad_()
    assert target.module is not None
    (behind,) = torch.autograd.grad(target.module(seen).sum(), seen)
    torch.testing.assert_close(slope, behind)


@pytest.mark.parametrize("name", CHANGES)
def test_chance_answers_anew_and_equal_seeds_alike(name: str) -> None:
    raw = torch.from_numpy(digits().test.inputs[:6])
    first, twin = (Randomised(victim(), name, sigma=0.2, seed=3) for _ in range(2))
    with torch.no_grad():
        once, again = first(raw), first(raw)
        torch.testing.assert_close(once, twin(raw))
    assert not torch.allclose(once, again)


def test_resizing_pads_with_the_lowest_value_and_keeps_the_slope() -> None:
    random = Randomised(victim(), "random_resize_pad", sigma=0, seed=0)
    bright = torch.ones(8, 1, 8, 8, requires_grad=True)
    resized = random.resized(bright)
    assert float(resized.detach().min()) == 0
    assert float(resized.detach().amax()) == pytest.approx(1)
    assert (resized.flatten(1).sum(1) < 64).all()
    (slope,) = torch.autograd.grad(resized.sum(), bright)
    assert float(slope.abs().sum()) > 0


def test_channels_last_pictures_are_resized_alike() -> None:
    target = victim()
    plain = Randomised(target, "random_resize_pad", sigma=0, seed=5)
    last = Randomised(target, "random_resize_pad", sigma=0, seed=5)
    last.layout.channels_last = True
    picture = torch.rand(4, 1, 8, 8)
    moved = last.resized(picture.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(moved, plain.resized(picture))


def test_chance_is_read_by_the_mean_of_its_answers() -> None:
    target = victim()
    told = defended(target, "randomised_smoothing", sigma=0.3, seed=1)
    inputs = digits().test.inputs[:3]
    twin = Randomised(target, "randomised_smoothing", sigma=0.3, seed=1)
    with torch.no_grad():
        draws = [twin(torch.from_numpy(inputs)).softmax(dim=1) for _ in range(VOTES)]
    np.testing.assert_allclose(
        np.exp(told.scores(inputs)), torch.stack(draws).mean(dim=0).numpy(), atol=1e-5
    )
    assert told.describe()["deterministic"] is False
    assert defended(target, "feature_squeezing", sigma=0, seed=0).describe()["deterministic"]


def test_no_inputs_have_no_answers() -> None:
    for name in ("feature_squeezing", "randomised_smoothing"):
        told = defended(victim(), name, sigma=0.1, seed=0)
        assert told.scores(digits().test.inputs[:0]).shape == (0, 10)


def test_what_cannot_be_put_up_says_why() -> None:
    with pytest.raises(TargetError, match="no defence prayer"):
        defended(victim(), "prayer", sigma=0, seed=0)
    for name in ("jpeg_compression", "random_resize_pad"):
        with pytest.raises(TargetError, match="no pictures"):
            defended(linear().target, name, sigma=0, seed=0)
    target = victim()
    target.module = None
    for name in ("jpeg_compression", "randomised_smoothing"):
        with pytest.raises(TargetError, match="needs gradients"):
            defended(target, name, sigma=0, seed=0)
    with pytest.raises(TargetError, match="needs gradients"):
        hardened(target, *few(50), Recipe(epsilon=EPSILON))


@pytest.mark.parametrize("train", TRAINERS.values(), ids=TRAINERS)
def test_the_delivered_model_is_left_as_it_was(
    train: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    target = victim()
    inputs = digits().test.inputs[:20]
    before, state = target.scores(inputs), drawn_from_numpy()
    recipe = Recipe(epsilon=EPSILON, epochs=1, seed=4)
    copy, again = (train(target, *few(), recipe) for _ in range(2))
    np.testing.assert_array_equal(target.scores(inputs), before)
    with torch.no_grad():
        assert not torch.allclose(copy(torch.from_numpy(inputs)), torch.from_numpy(before))
    for one, other in zip(copy.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert drawn_from_numpy() == state
    assert capfd.readouterr() == ("", "")


def written(folder: Path, target: Any, **settings: Any) -> Any:
    return training(
        target, inputs=few()[0], labels=few()[1], defence="adversarial_training",
        artifact=str(folder / "model.safetensors"), architecture=str(folder / "layers.yaml"),
        model=description(), epsilon=EPSILON, epochs=1, seed=0, **settings,
    )  # fmt: skip


def test_a_hardened_copy_opens_as_the_file_it_came_from(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    target = victim()
    reply = written(tmp_path, target)
    assert reply.values["queries"] > 0
    assert target.meter.forwards == 0, "training is charged once, to the copy"
    safetensors.numpy.save_file(reply.arrays, tmp_path / "model.safetensors")
    opened = open_target(
        artifact=str(tmp_path / "model.safetensors"),
        architecture=str(tmp_path / "layers.yaml"),
        model=description(),
    )
    inputs = digits().test.inputs[:20]
    recipe = Recipe(epsilon=EPSILON, epochs=1, seed=0)
    copy = hardened(victim(), *few(), recipe)
    with torch.no_grad():
        expected = copy(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(opened.scores(inputs), expected, atol=1e-5)


def test_a_graph_without_layers_comes_back_as_a_program(tmp_path: Path) -> None:
    model = description(artifact="model.onnx")
    reply = training(
        victim(), inputs=few()[0], labels=few()[1], defence="adversarial_training",
        artifact="model.onnx", architecture=None, model=model, epsilon=EPSILON, epochs=1, seed=0,
    )  # fmt: skip
    assert set(reply.arrays) == {PROGRAM}
    place = tmp_path / "hardened.pt2"
    place.write_bytes(reply.arrays[PROGRAM].tobytes())
    ModelSpec.model_validate(model)
    opened = open_target(
        artifact=str(place), architecture=None, model=description(artifact="hardened.pt2")
    )
    for count in (1, 7):
        assert opened.scores(digits().test.inputs[:count]).shape == (count, 10)


def test_an_unknown_training_is_refused() -> None:
    with pytest.raises(TargetError, match="no training prayer"):
        training(
            victim(), inputs=few()[0], labels=few()[1], defence="prayer", artifact="",
            architecture=None, model={}, epsilon=0.1, epochs=1, seed=0,
        )  # fmt: skip


def test_who_does_not_know_fools_the_bare_model_within_the_budget() -> None:
    target = victim()
    inputs, labels = correct(target, 20)
    labels = labels.copy()
    labels[0] = (labels[0] + 1) % 10
    reply = unaware(target, inputs=inputs, labels=labels, epsilon=EPSILON, steps=20, seed=0)
    moved = reply.arrays["candidates"]
    assert np.abs(moved - inputs).max() <= EPSILON + 1e-6
    np.testing.assert_array_equal(moved[0], inputs[0])
    assert (target.scores(moved).argmax(1) != labels).mean() > 0.3
    assert reply.values["queries"] > 0
