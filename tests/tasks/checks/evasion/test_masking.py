"""Planted masked models all raise an alarm; honest models raise none."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tasks.attacks.evasion.noise import noise
from tasks.attacks.evasion.transfer import transfer
from tasks.catalog.reading import Catalog
from tasks.checks.evasion.linf_robust_accuracy import measure
from tasks.checks.lab import Lab
from tasks.domain.bundle import ModelSpec
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tasks.targets.protocol import predicted
from tasks.targets.torch_target import TorchTarget
from tests.services.asked import only_when_asked
from tests.simulators.sandbox import DirectSession
from tests.tasks.attacks.evasion.victims import correct, victim
from tests.tasks.targets.models import (
    _moved,
    description,
    digits,
    lab_for,
    network,
    trained,
    write_model,
)

CHECK = "evasion.linf_robust_accuracy"
EPSILON = 0.06


def measured(
    folder: Path, module: nn.Module, *, points: int = 20, epsilon: float = EPSILON
) -> Measurement:
    """Measures a model that no file format could carry: it is put into the child as it is."""
    write_model(folder, trained())
    lab: Lab = lab_for(
        folder, CHECK, model=description(), evaluation=digits().test,
        parameters={"epsilon": epsilon, "points": points, "steps": 30, "square_queries": 300},
    )  # fmt: skip
    target = TorchTarget(module, ModelSpec.model_validate(description()), kind="planted")
    session = DirectSession()
    session.kept = target
    lab._session, lab._target = session, target.describe()
    return measure(lab)


class Tempered(nn.Module):
    """Scores divided by 1e-3: cross-entropy has no slope left."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = trained()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(inputs) / 1e-3
        return scores


class Quantised(Tempered):
    """Inputs rounded to sixteen shades: the slope is zero everywhere."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(torch.round(inputs * 15) / 15)
        return scores


class Stochastic(Tempered):
    """Noise on every answer."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(inputs + 0.05 * torch.randn_like(inputs))
        return scores


class Cut(Tempered):
    """The way back is cut: a slope of zero that looks like a slope."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(inputs.detach()) + 0 * inputs.sum()
        return scores


class _Lying(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(inputs)
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> torch.Tensor:
        (inputs,) = ctx.saved_tensors
        return torch.sin(1e4 * inputs) * slopes[0].abs().mean()


class Lying(Tempered):
    """Slopes that lead nowhere: what a non-differentiable filter's stand-in may give."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(_Lying.apply(inputs))  # type: ignore[no-untyped-call]
        return scores


class Shattered(Tempered):
    """A fine ripple on the inputs: slopes of random sign, little change in value."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        rippled = inputs + 2e-3 * torch.sin(2e4 * inputs)
        scores: torch.Tensor = self.inner(rippled)
        return scores


MASKED = [Tempered, Quantised, Stochastic, Cut, Lying, Shattered]


@pytest.mark.parametrize("kind", MASKED)
def test_a_masked_model_raises_an_alarm_and_never_passes(tmp_path: Path, kind: Any) -> None:
    found = measured(tmp_path, kind())
    assert found.alarms, found.facts
    finding = judge(Catalog().check(CHECK), found, threshold=0.001)
    assert finding.outcome is not Outcome.PASS


def perceptron(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 10),
    )  # fmt: skip


@functools.cache
def honest(number: int) -> nn.Module:
    """One of twenty: convolutions or not, wide or narrow, plainly or adversarially trained."""
    torch.manual_seed(number)
    model = network() if number % 2 else perceptron(32 + 16 * (number % 5))
    epsilon = (0.0, 0.05, 0.1, 0.15)[number // 2 % 4]
    inputs = torch.from_numpy(digits().train.inputs)
    labels = torch.from_numpy(digits().train.labels)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(10):
        for rows in torch.randperm(len(labels)).split(100):
            x, y = inputs[rows], labels[rows]
            x = _moved(model, x, y, epsilon) if epsilon else x
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model.eval()


IN_BRIEF = {12, 17}
"""Both kinds of network, plainly and adversarially trained; all twenty take two minutes."""
all_twenty = only_when_asked("others of its kind are tried")


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [pytest.param(each, marks=() if each in IN_BRIEF else all_twenty) for each in range(20)],
)
def test_an_honest_model_raises_none(tmp_path: Path, number: int) -> None:
    found = measured(tmp_path, honest(number))
    assert found.alarms == ()
    assert [control.name for control in found.controls if not control.held] == []


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_noise_and_transfer_stay_in_the_ball_and_tell_the_truth(norm: str) -> None:
    target = victim()
    inputs, labels = correct(target, 40)
    radius = 0.2 if norm == "linf" else 2.0
    settings: dict[str, Any] = {"inputs": inputs, "labels": labels, "epsilon": radius, "norm": norm}
    for reply in (
        noise(target, **settings),
        transfer(target, pool=digits().test.inputs, **settings),
    ):
        moved, found = reply.arrays["candidates"], reply.arrays["found"]
        change = (moved - inputs).reshape(40, -1)
        order = np.inf if norm == "linf" else 2
        assert np.linalg.norm(change, order, axis=1).max() <= radius + 1e-5
        assert 0 <= moved.min() <= moved.max() <= 1
        np.testing.assert_array_equal(predicted(target, moved) != labels, found)
        assert found.any()


def test_a_copy_carries_over_more_than_chance() -> None:
    target = victim()
    inputs, labels = correct(target, 100)
    settings: dict[str, Any] = {"inputs": inputs, "labels": labels, "epsilon": 0.15}
    by_copy = transfer(target, pool=digits().test.inputs, **settings).arrays["found"].mean()
    by_chance = noise(target, draws=1, **settings).arrays["found"].mean()
    assert by_copy > by_chance + 0.2


def test_equal_seeds_give_equal_noise_and_equal_copies() -> None:
    target = victim()
    inputs, labels = correct(target, 6)
    for attack, more in ((noise, {}), (transfer, {"pool": inputs})):
        settings: dict[str, Any] = {"inputs": inputs, "labels": labels, "epsilon": 0.1, **more}
        first, again = (attack(target, seed=3, **settings).arrays["candidates"] for _ in range(2))
        np.testing.assert_array_equal(first, again)
        empty = {**settings, "inputs": inputs[:0], "labels": labels[:0]}
        assert attack(target, **empty).values["passes"] == 0
