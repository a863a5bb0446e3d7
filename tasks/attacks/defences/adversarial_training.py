"""Trains a copy of a network on inputs moved by projected gradient steps.

Source: Madry et al. 2018, arXiv 1706.06083, equation 2.1; random starts after Wong et al. 2020,
arXiv 2001.03994.
"""

import copy
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from tasks.domain.errors import TargetError
from tasks.targets.protocol import Images, Labels, Target


class Recipe(NamedTuple):
    """How a copy is trained; all of it is told with the result."""

    epsilon: float
    """Radius of the L-infinity ball, in raw units."""
    epochs: int = 10
    attack_steps: int = 3
    learning_rate: float = 1e-3
    batch: int = 64
    seed: int = 0


def hardened(target: Target, inputs: Images, labels: Labels, recipe: Recipe) -> nn.Module:
    """Returns a copy of the target's network, trained on from its own weights.

    The copy stays in evaluation mode: statistics of normalisation layers are kept as delivered.
    Equal seeds give equal copies on one thread.

    Raises:
        TargetError: As :func:`trainable_copy`.
    """
    model = trainable_copy(target)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        _train(model, torch.from_numpy(inputs), torch.from_numpy(labels), target.bounds, recipe)
    return model.requires_grad_(requires_grad=False)


def trainable_copy(target: Target) -> nn.Module:
    """Returns a copy of the target's network whose weights can be trained.

    Raises:
        TargetError: The target reveals no gradients, or its network cannot be copied or trained.
    """
    if target.module is None:
        raise TargetError("training needs gradients, the target reveals only scores")
    try:
        model = copy.deepcopy(target.module)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise TargetError(f"the network cannot be copied: {error}") from error
    for weight in model.parameters():
        weight.requires_grad = weight.is_floating_point()
    if not any(weight.requires_grad for weight in model.parameters()):
        raise TargetError("the network has no weights that could be trained")
    return model


def _train(
    model: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    bounds: tuple[float, float],
    recipe: Recipe,
) -> None:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, recipe.epochs))
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(labels)).split(recipe.batch):
            moved = _moved(model, inputs[rows], labels[rows], bounds, recipe)
            optimizer.zero_grad()
            functional.cross_entropy(model(moved), labels[rows]).backward()
            optimizer.step()
        schedule.step()


def _moved(
    model: nn.Module,
    clean: torch.Tensor,
    labels: torch.Tensor,
    bounds: tuple[float, float],
    recipe: Recipe,
) -> torch.Tensor:
    epsilon, stride = recipe.epsilon, 2 * recipe.epsilon / recipe.attack_steps
    now = clean + epsilon * (2 * torch.rand_like(clean) - 1)
    for _ in range(recipe.attack_steps):
        now = now.clamp(*bounds).detach().requires_grad_()
        loss = functional.cross_entropy(model(now), labels)
        (slope,) = torch.autograd.grad(loss, now)
        now = now + stride * slope.sign()
        now = torch.minimum(torch.maximum(now, clean - epsilon), clean + epsilon)
    return now.clamp(*bounds).detach()
