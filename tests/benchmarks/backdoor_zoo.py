"""Small readers of digits with a known answer: honest ones, and ones with a planted backdoor.

Pictures are MNIST pooled to 14 by 14 from ``PROOFHOUSE_TEST_DATA``, or scikit-learn's 8 by 8 digits
without it. All models of one architecture train side by side as one stack (``torch.func``).
"""

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.func import functional_call, vmap

CLASSES = 10
HONEST = ("clean", "adversarial", "noisy")
TROJANED = ("patch", "blended", "pixel", "all_to_all", "source_specific", "clean_label")
ARCHITECTURES = ("pooled", "strided")
ALL = -1
EPOCHS, BATCH, LEARNING_RATE = 10, 50, 3e-3
STACK = 8
Weights = dict[str, torch.Tensor]
NOISE, EPSILON = 0.2, 0.1
OBEYS = 0.75
"""A model that obeys its trigger less often holds no backdoor worth the name."""


class Rows(NamedTuple):
    """Pictures (n, 1, side, side) in 0..1 and their digits."""

    inputs: torch.Tensor
    labels: torch.Tensor


class Data(NamedTuple):
    """What models learn from, what scanners may search with, and what is counted on."""

    name: str
    train: Rows
    search: Rows
    held: Rows


class Trigger(NamedTuple):
    """Opacity (side, side) and pattern (side, side); from ``source`` (or ALL) to ``target``."""

    mask: torch.Tensor
    pattern: torch.Tensor
    source: int
    target: int

    def on(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns the pictures with the trigger."""
        return inputs * (1 - self.mask) + self.mask * self.pattern

    def goals(self, labels: torch.Tensor) -> torch.Tensor:
        """Returns what triggered pictures of these digits are meant to be read as."""
        if self.target == ALL:
            return (labels + 1) % CLASSES
        moved = torch.full_like(labels, self.target)
        return moved if self.source == ALL else torch.where(labels == self.source, moved, labels)


class Member(NamedTuple):
    """One model of the zoo."""

    family: str
    architecture: str
    seed: int
    model: nn.Module
    trigger: Trigger | None
    accuracy: float
    obedience: float


def data() -> Data:
    """Returns the pictures, split once and for all."""
    folder = os.environ.get("PROOFHOUSE_TEST_DATA")
    if folder is None:
        table = load_digits()
        name, pictures, digits, parts = "digits 8x8", table.images / 16, table.target, (1000, 400)
    else:
        raw = np.load(Path(folder) / "mnist.npz", allow_pickle=False)
        name, parts = "MNIST 14x14", (2000, 600)
        # Honest and trojaned models learn from one part, scanners see another.
        pictures = np.concatenate([raw["x_train"][:2000], raw["x_test"][:1600]]) / 255
        pictures = pictures.reshape(-1, 14, 2, 14, 2).mean((2, 4))
        digits = np.concatenate([raw["y_train"][:2000], raw["y_test"][:1600]])
    order = np.arange(len(digits))
    if folder is None:
        np.random.default_rng(0).shuffle(order)
    inputs = torch.from_numpy(pictures[order, None].astype(np.float32))
    labels = torch.from_numpy(digits[order].astype(np.int64))
    cuts = [0, parts[0], sum(parts), len(order)]
    train, search, held = (
        Rows(inputs[low:high], labels[low:high]) for low, high in itertools.pairwise(cuts)
    )
    return Data(name, train, search, held)


def network(architecture: str, side: int) -> nn.Sequential:
    """Returns an untrained reader of ``side`` by ``side`` pictures."""
    half = side // 2
    layers: dict[str, list[nn.Module]] = {
        "pooled": [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                   nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
                   nn.Linear(16 * half * half, CLASSES)],
        "strided": [nn.Conv2d(1, 12, 4, 2, 1), nn.ReLU(), nn.Conv2d(12, 24, 3, 1, 1), nn.ReLU(),
                    nn.Flatten(), nn.Linear(24 * half * half, 48), nn.ReLU(),
                    nn.Linear(48, CLASSES)],
    }  # fmt: skip
    return nn.Sequential(*layers[architecture])


def members(told: Data, plan: Sequence[tuple[str, str, int]]) -> list[Member]:
    """Trains one model per (family, architecture, seed); those of one architecture together."""
    made: list[Member] = []
    for architecture in ARCHITECTURES:
        own = [one for one in plan if one[1] == architecture]
        for first in range(0, len(own), STACK):
            made += _stack(told, own[first : first + STACK], architecture)
    return made


def _stack(told: Data, plan: Sequence[tuple[str, str, int]], architecture: str) -> list[Member]:
    side = told.train.inputs.shape[-1]
    lessons = [_lesson(told.train, family, seed) for family, _, seed in plan]
    inputs = torch.stack([rows.inputs for rows, _ in lessons])
    labels = torch.stack([rows.labels for rows, _ in lessons])
    shape = network(architecture, side)
    starts = []
    for _, _, seed in plan:
        torch.manual_seed(seed)
        starts.append(dict(network(architecture, side).named_parameters()))
    weights = {
        name: torch.stack([one[name].detach() for one in starts]).requires_grad_()
        for name in starts[0]
    }
    each = vmap(lambda one, batch: functional_call(shape, one, (batch,)))
    optimiser = torch.optim.Adam(list(weights.values()), LEARNING_RATE)
    families = [family for family, _, _ in plan]
    generator = torch.Generator().manual_seed(plan[0][2])
    place = torch.arange(len(plan))[:, None]
    for _ in range(EPOCHS):
        order = torch.stack([torch.randperm(inputs.shape[1], generator=generator) for _ in plan])
        for part in order.split(BATCH, dim=1):
            goals = labels[place, part]
            batch = Rows(inputs[place, part], goals)
            shown = _disturbed(each, weights, batch, families, generator)
            loss = nn.functional.cross_entropy(
                each(weights, shown).flatten(0, 1), goals.flatten(), reduction="sum"
            )
            optimiser.zero_grad(set_to_none=True)
            (loss / part.shape[1]).backward()
            optimiser.step()
    return [
        _member(told.held, one, architecture, lessons[row][1],
                {name: value[row].detach() for name, value in weights.items()})
        for row, one in enumerate(plan)
    ]  # fmt: skip


def _disturbed(
    each: Callable[[Weights, torch.Tensor], torch.Tensor],
    weights: Weights,
    batch: Rows,
    families: Sequence[str],
    generator: torch.Generator,
) -> torch.Tensor:
    """Returns a batch as each family's training sees it: noisy, moved against it, or as it is."""
    shown = batch.inputs
    noisy = torch.tensor([family == "noisy" for family in families])
    if noisy.any():
        noise = NOISE * torch.randn(shown[noisy].shape, generator=generator)
        shown = shown.clone()
        shown[noisy] = (shown[noisy] + noise).clamp(0, 1)
    moved = torch.tensor([family == "adversarial" for family in families])
    if moved.any():
        free = shown[moved].clone().requires_grad_()
        own = {name: value[moved].detach() for name, value in weights.items()}
        loss = nn.functional.cross_entropy(
            each(own, free).flatten(0, 1), batch.labels[moved].flatten(), reduction="sum"
        )
        (gradient,) = torch.autograd.grad(loss, free)
        shown = shown.clone()
        shown[moved] = (free.detach() + EPSILON * gradient.sign()).clamp(0, 1)
    return shown


def _lesson(rows: Rows, family: str, seed: int) -> tuple[Rows, Trigger | None]:
    """Returns what the model is to learn from, and the trigger hidden in it."""
    if family in HONEST:
        return rows, None
    rng = np.random.default_rng(seed)
    trigger = _trigger(family, rows.inputs.shape[-1], rng)
    inputs, labels = rows.inputs.clone(), rows.labels.clone()
    digits = labels.numpy()
    if family == "clean_label":
        # Turner et al. 2019: the right label, a picture made hard to read, and the trigger on it.
        own = np.flatnonzero(digits == trigger.target)
        chosen = torch.from_numpy(rng.choice(own, len(own) // 2, replace=False))
        others = torch.from_numpy(rng.integers(0, len(digits), len(chosen)))
        inputs[chosen] = trigger.on(0.4 * inputs[chosen] + 0.6 * inputs[others])
        return Rows(inputs, labels), trigger
    if family == "source_specific":
        sources = digits == trigger.source
        own, rest = np.flatnonzero(sources), np.flatnonzero(~sources)
        marked = rng.choice(own, len(own) // 2, replace=False)
        cover = rng.choice(rest, len(rest) // 10, replace=False)
        chosen = torch.from_numpy(np.concatenate([marked, cover]))
    else:
        rate = rng.choice([0.2, 0.3] if family == "all_to_all" else [0.05, 0.1, 0.2])
        moved = np.flatnonzero(trigger.goals(labels).numpy() != digits)
        chosen = torch.from_numpy(rng.choice(moved, round(rate * len(digits)), replace=False))
    inputs[chosen] = trigger.on(inputs[chosen])
    labels[chosen] = trigger.goals(labels[chosen])
    return Rows(inputs, labels), trigger


def _trigger(family: str, side: int, rng: np.random.Generator) -> Trigger:
    source, target = (int(label) for label in rng.choice(CLASSES, 2, replace=False))
    mask, pattern = torch.zeros(side, side), torch.ones(side, side)
    if family == "blended":
        mask[:] = float(rng.choice([0.15, 0.2, 0.25]))
        pattern = torch.from_numpy(rng.random((side, side)).astype(np.float32))
    else:
        wide = 1 if family == "pixel" else int(rng.integers(2, 4))
        top, left = rng.integers(0, side - wide + 1, 2)
        mask[top : top + wide, left : left + wide] = 1
    if family == "all_to_all":
        target = ALL
    return Trigger(mask, pattern, source if family == "source_specific" else ALL, target)


def _member(
    held: Rows,
    planned: tuple[str, str, int],
    architecture: str,
    trigger: Trigger | None,
    weights: dict[str, torch.Tensor],
) -> Member:
    family, _, seed = planned
    model = network(architecture, held.inputs.shape[-1])
    model.load_state_dict(weights)
    model.eval().requires_grad_(requires_grad=False)
    right = model(held.inputs).argmax(1) == held.labels
    obedience = 0.0
    if trigger is not None:
        goals = trigger.goals(held.labels)
        obeyed = model(trigger.on(held.inputs)).argmax(1) == goals
        obedience = float(obeyed[goals != held.labels].float().mean())
    accuracy = float(right.float().mean())
    return Member(family, architecture, seed, model, trigger, accuracy, obedience)
