"""Strategies of a thief: each copies what can be copied and asks no more than allowed."""

from typing import Any

import numpy as np
import pytest
import torch

from tasks.attacks.extraction.active import centres
from tasks.attacks.extraction.known_victims import KnownVictim
from tasks.checks.extraction.fidelity import STRATEGIES
from tasks.domain.bundle import ModelSpec
from tasks.sandbox.procedures import procedure
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Access, Target
from tasks.targets.torch_target import TorchTarget
from tests.tasks.targets.models import description, digits, trained

every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def victim(classes: int = 3, features: int = 6) -> Target:
    torch.manual_seed(0)
    model = ModelSpec.model_validate(description(shape=(features,), classes=classes))
    like = TorchTarget(torch.nn.Linear(features, classes), model, kind="test")
    return KnownVictim("linear", like, seed=0)


def stolen(
    strategy: str, target: Target, *, budget: int = 240, seed: int = 0, owned: int = 80
) -> tuple[Reply, float]:
    rows = np.random.default_rng(0).random((owned + 200, *target.input_shape)).astype(np.float32)
    labels: Array = target.scores(rows[:owned]).argmax(axis=1)
    asked_before = target.meter.forwards
    reply: Reply = procedure(f"attacks.extraction.{strategy}")(
        target, pool=rows[:owned], labels=labels, held_out=rows[owned:], budget=budget, seed=seed
    )
    assert target.meter.forwards - asked_before == reply.values["queries"] <= budget
    truth = target.scores(rows[owned:]).argmax(axis=1)
    return reply, float((reply.arrays["student"] == truth).mean())


@every_strategy
def test_copies_what_can_be_copied(strategy: str) -> None:
    reply, fidelity = stolen(strategy, victim())
    assert fidelity > 0.85
    assert reply.values["queries"] == 240
    assert reply.values["student_passes"] > 0


@every_strategy
def test_equal_seeds_give_equal_copies(strategy: str) -> None:
    first, again = (stolen(strategy, victim(), budget=60)[0] for _ in range(2))
    np.testing.assert_array_equal(first.arrays["student"], again.arrays["student"])


@every_strategy
@pytest.mark.parametrize("budget", [1, 7, 40])
def test_small_budgets_are_kept(strategy: str, budget: int) -> None:
    assert stolen(strategy, victim(), budget=budget)[0].values["queries"] == budget


@every_strategy
def test_labels_and_two_classes_suffice(strategy: str) -> None:
    target = victim(classes=2)
    target.access = Access.LABELS
    assert stolen(strategy, target)[1] > 0.8


@every_strategy
def test_a_pool_of_one_class_is_no_crash(strategy: str) -> None:
    reply, _ = stolen(strategy, victim(), budget=30, owned=1)
    assert reply.arrays["student"].shape == (200,)


def monitored(strategy: str) -> Any:
    target = TorchTarget(trained(), ModelSpec.model_validate(description()), kind="test")
    rows = digits().test
    reply: Reply = procedure(f"attacks.extraction.{strategy}")(
        target,
        pool=rows.inputs[:300],
        labels=rows.labels[:300],
        held_out=rows.inputs[300:310],
        budget=300,
        seed=0,
    )
    return reply.values["monitor"]["alarm_at"]


def test_the_distance_monitor_sees_steps_and_not_nature() -> None:
    alarm = monitored("jacobian")
    assert alarm is not None
    assert alarm < 500
    assert monitored("active") is None


def test_centres_are_spread() -> None:
    points = np.array([[0.0], [0.1], [1.0], [0.9], [0.5]], np.float32)
    assert centres(points, 3).tolist() == [0, 2, 4]
    assert sorted(centres(points, 5).tolist()) == [0, 1, 2, 3, 4]
