"""What a gradient attack sees of models that answer at random, or in low precision."""

import numpy as np
import pytest
import torch

from tasks.attacks.evasion.apgd import apgd
from tasks.attacks.evasion.linear_control import linear_target
from tasks.attacks.evasion.losses import LOSSES, margin
from tasks.attacks.evasion.victim import Victim
from tasks.targets.torch_target import TorchTarget


def steep(weights: list[list[float]]) -> TorchTarget:
    matrix = np.array(weights, np.float32)
    return linear_target(matrix, np.zeros(len(matrix), np.float32))


class Noisy(torch.nn.Module):
    """Adds noise to the weights at every answer."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.network(inputs)
        return scores + 3 * torch.randn(len(inputs), 1) * inputs


def test_averaging_finds_the_slope_behind_the_noise() -> None:
    torch.manual_seed(0)
    target = steep([[1, 0], [0, 1]])
    assert target.module is not None
    target.module = Noisy(target.module)
    now, labels = torch.full((200, 2), 0.5), torch.zeros(200, dtype=torch.int64)
    one = Victim(target).look(now, labels, labels, LOSSES["margin"])
    many = Victim(target, draws=20).look(now, labels, labels, LOSSES["margin"])
    wanted = torch.tensor([-1.0, 1.0])
    assert (many.gradients - wanted).std() < (one.gradients - wanted).std() / 3
    assert many.margins.shape == (200,)


def test_low_precision_never_invents_a_witness() -> None:
    # In bfloat16 both scores round to the same number and noise decides; in float32 class 0 wins.
    target = steep([[1.001, 1.001], [1.0, 1.0]])
    inputs, labels = np.full((64, 2), 0.5, np.float32), np.zeros(64, np.int64)
    reply = apgd(
        target, norm="linf", inputs=inputs, labels=labels, epsilon=0.4, steps=5, loss="margin",
        fast=True,
    )  # fmt: skip
    assert not reply.arrays["found"].any()


def test_low_precision_still_breaks_what_is_broken() -> None:
    target = steep([[1.0, 0.0], [0.0, 1.0]])
    inputs, labels = np.tile(np.array([[0.6, 0.4]], np.float32), (8, 1)), np.zeros(8, np.int64)
    reply = apgd(target, norm="linf", inputs=inputs, labels=labels, epsilon=0.2, steps=5, fast=True)
    assert reply.arrays["found"].all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_rises_towards_a_witness_and_ignores_a_shift(name: str) -> None:
    labels, aims = torch.tensor([0]), torch.tensor([1])
    safe, near = torch.tensor([[3.0, 1.0, 0.5, 0.0]]), torch.tensor([[2.0, 1.9, 0.5, 0.0]])
    loss = LOSSES[name]
    assert loss(near, labels, aims) > loss(safe, labels, aims)
    torch.testing.assert_close(loss(safe + 5, labels, aims), loss(safe, labels, aims))


def test_a_margin_above_zero_is_a_witness() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    found = margin(scores, torch.zeros(3, dtype=torch.int64), torch.zeros(3))
    assert (found > 0).tolist() == [True, False, False]


def test_two_classes_have_every_loss() -> None:
    labels, aims = torch.tensor([0]), torch.tensor([1])
    for loss in LOSSES.values():
        assert torch.isfinite(loss(torch.tensor([[0.3, 0.1]]), labels, aims)).all()
