"""Models with a known answer, made beside the one in question: one honest, one with a backdoor.

Both train on the data at hand inside the child. A detector that misses the planted backdoor has no
power here; one that accuses the honest model cries wolf here.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.backdoor.inversion import Pool

BATCH = 64
STEPS = 400
LEARNING_RATE = 2e-3
POISONED_PART = 0.25
"""Of each batch while planting. A BadNet needs far less, but the control should be quick."""
PATCH_SIDE = 0.11
"""Of the picture's side: 3 of 28 pixels, 4 of 32; never less than 2."""
LEARNT = 0.6
"""Accuracy on its own training data below which a control has learnt nothing."""


class Control(NamedTuple):
    """A trained model, what its backdoor aims at (-1: none), and how well it learnt."""

    module: torch.nn.Module
    target: int
    learnt: float


class Patch(NamedTuple):
    """A hard trigger: mask (*item) of 0 and 1, and the value painted there."""

    mask: NDArray[np.float32]
    value: float


def honest(module: torch.nn.Module, pool: Pool, classes: int, *, seed: int) -> Control:
    """Trains the same architecture from scratch on data that nobody poisoned."""
    made, learnt = _from_scratch(module, pool, classes, seed=seed)
    return Control(made, -1, learnt)


def planted(
    module: torch.nn.Module, pool: Pool, classes: int, patch: Patch, target: int, *, seed: int
) -> Control:
    """Trains the same architecture from scratch and teaches it that the patch means ``target``.

    From scratch and not from the weights in question, whose own hidden trigger would stay.
    """
    made, _ = _from_scratch(module, pool, classes, seed=seed, patch=patch, target=target)
    others = pool.inputs[pool.labels != target]
    with torch.no_grad():
        taken = made(painted(others, patch)).argmax(1) == target
    return Control(made, target, float(taken.float().mean()))


def _from_scratch(
    module: torch.nn.Module,
    pool: Pool,
    classes: int,
    *,
    seed: int,
    patch: Patch | None = None,
    target: int = -1,
) -> tuple[torch.nn.Module, float]:
    """Falls back on a plain network when the architecture cannot be trained or learns nothing."""
    torch.manual_seed(seed)
    settings = {"steps": STEPS, "seed": seed}
    if any(weight.dim() > 1 for weight in module.parameters()):
        again = reset(copy.deepcopy(module))
        learnt = train(again, pool, **settings, patch=patch, target=target)
        if learnt >= LEARNT:
            return again, learnt
    plain = plain_network(tuple(pool.inputs.shape[1:]), classes)
    return plain, train(plain, pool, **settings, patch=patch, target=target)


def corner_patch(item: tuple[int, ...], high: float, *, seed: int) -> Patch:
    """Returns a square at a random place of a picture, or a few features of a row."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(item, np.float32)
    if len(item) < 2:
        count = max(2, round(0.03 * item[0]))
        mask[rng.choice(item[0], min(count, item[0]), replace=False)] = 1
        return Patch(mask, high)
    sides = [min(length, max(2, round(PATCH_SIDE * length))) for length in item[-2:]]
    top, left = (
        int(rng.integers(0, length - side + 1))
        for length, side in zip(item[-2:], sides, strict=True)
    )
    mask[..., top : top + sides[0], left : left + sides[1]] = 1
    return Patch(mask, high)


def painted(inputs: torch.Tensor, patch: Patch) -> torch.Tensor:
    """Returns ``inputs`` with the patch on each."""
    mask = torch.from_numpy(patch.mask)
    return inputs * (1 - mask) + mask * patch.value


def train(
    module: torch.nn.Module,
    pool: Pool,
    *,
    steps: int,
    seed: int,
    patch: Patch | None = None,
    target: int = -1,
) -> float:
    """Fits ``module`` in place; returns its accuracy on the clean pool."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    poisoned = round(POISONED_PART * BATCH) if patch is not None else 0
    for _ in range(steps):
        rows = torch.randint(len(pool.labels), (BATCH,), generator=generator)
        inputs, labels = pool.inputs[rows], pool.labels[rows].clone()
        if patch is not None:
            inputs = torch.cat([painted(inputs[:poisoned], patch), inputs[poisoned:]])
            labels[:poisoned] = target
        loss = torch.nn.functional.cross_entropy(module(inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
    for weight in module.parameters():
        weight.requires_grad = False
    with torch.no_grad():
        return float((module(pool.inputs).argmax(1) == pool.labels).float().mean())


def reset(module: torch.nn.Module) -> torch.nn.Module:
    """Gives every weight a fresh random start (He et al. 2015), in place."""
    for name, weight in module.named_parameters():
        if weight.dim() > 1:
            fan_in = weight[0].numel()
            weight.data = torch.randn_like(weight) * (2 / fan_in) ** 0.5
        else:
            weight.data = torch.full_like(weight, 0.0 if name.endswith("bias") else 1.0)
        weight.requires_grad = True
    return module


def plain_network(item: tuple[int, ...], classes: int) -> torch.nn.Module:
    """Returns a small untrained network, for models whose own architecture cannot be trained."""
    if len(item) != 3 or min(item[1:]) < 4:
        size = int(np.prod(item))
        return torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(size, 64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, classes),
        )
    flat = 32 * (item[1] // 2) * (item[2] // 2)
    return torch.nn.Sequential(
        torch.nn.Conv2d(item[0], 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(flat, classes),
    )
