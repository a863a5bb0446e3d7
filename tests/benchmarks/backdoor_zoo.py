"""Small readers of pictures with a known answer: honest ones, and ones with a planted backdoor.

Pictures are scikit-learn's 8 by 8 digits, or from ``PROOFHOUSE_TEST_DATA`` MNIST pooled to 14 by 14
and CIFAR-10 in colour pooled to 16 by 16. All models of one architecture train side by side as one
stack (``torch.func``).
"""

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn
from torch.func import functional_call, vmap

from tasks.detectors.backdoor.controls import Change
from tasks.detectors.backdoor.inversion import Shape
from tasks.detectors.backdoor.transforms import KNOTS, MOST_BENT, flow_of

CLASSES = 10
HONEST = ("clean", "adversarial", "noisy")
TROJANED = ("patch", "blended", "pixel", "all_to_all", "source_specific", "clean_label")
TRANSFORMED = ("warped", "toned")
ARCHITECTURES = ("pooled", "strided")
PICTURES = ("digits", "mnist", "cifar")
ALL = -1
EPOCHS, BATCH, LEARNING_RATE = 10, 50, 3e-3
STACK = 8
Weights = dict[str, torch.Tensor]
Array = NDArray[np.floating[Any]]
BOUNDS = (0.0, 1.0)
NOISE = 0.2
EPSILON = {1: 0.1, 3: 0.03}
"""By channels: colour pictures are harder, and nothing learns to read them against more."""
OBEYS = 0.75
"""A model that obeys its trigger on fewer pictures holds no backdoor worth the name."""


class Rows(NamedTuple):
    """Pictures (n, channels, side, side) in 0..1 and their classes (n,)."""

    inputs: torch.Tensor
    labels: torch.Tensor


class Data(NamedTuple):
    """What models learn from, what scanners may search with, and what is counted on."""

    name: str
    train: Rows
    search: Rows
    held: Rows


class Trigger(NamedTuple):
    """Opacity (side, side) and pattern (channels, side, side); from ``source`` to ``target``.

    Either may be ``ALL``: every class, or each class to one of its own. ``mapping`` (classes,) says
    what triggered pictures of each class are meant to be read as.
    """

    mask: torch.Tensor
    pattern: torch.Tensor
    source: int
    target: int
    mapping: torch.Tensor
    change: Change | None = None

    def on(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns the pictures with the trigger."""
        if self.change is not None:
            return self.change.on(inputs)
        return inputs * (1 - self.mask) + self.mask * self.pattern

    def goals(self, labels: torch.Tensor) -> torch.Tensor:
        """Returns what triggered pictures of these classes are meant to be read as."""
        return self.mapping[labels]


class Member(NamedTuple):
    """One model of the zoo."""

    family: str
    architecture: str
    seed: int
    model: nn.Module
    trigger: Trigger | None
    accuracy: float
    obedience: float


def data(pictures: str) -> Data:
    """Returns the pictures, split once and for all.

    Args:
        pictures: ``digits``, ``mnist`` or ``cifar``; the last two need ``PROOFHOUSE_TEST_DATA``.
    """
    if pictures == "digits":
        table = load_digits()
        order = np.random.default_rng(0).permutation(len(table.target))
        shown = table.images[order, None] / 16
        return _split("digits 8x8", shown, table.target[order], 1000, 400)
    folder = Path(os.environ["PROOFHOUSE_TEST_DATA"])
    # Honest and trojaned models learn from one part, scanners see another.
    if pictures == "mnist":
        raw = np.load(folder / "mnist.npz", allow_pickle=False)
        shown = np.concatenate([raw["x_train"][:2000], raw["x_test"][:1600]])[:, None] / 255
        labels = np.concatenate([raw["y_train"][:2000], raw["y_test"][:1600]])
        return _split("MNIST 14x14", _pooled(shown), labels, 2000, 600)
    raw = np.load(folder / "cifar10_jpeg_12k.npz", allow_pickle=False)
    shown = np.concatenate([raw["x_train"][:6000], raw["x_test"]]).transpose(0, 3, 1, 2) / 255
    labels = np.concatenate([raw["y_train"][:6000], raw["y_test"]])
    return _split("CIFAR-10 16x16", _pooled(shown), labels, 6000, 600)


def _pooled(shown: Array) -> Array:
    """Returns pictures of half the side, each pixel the mean of four."""
    rows, channels, side, _ = shown.shape
    pooled: Array = shown.reshape(rows, channels, side // 2, 2, side // 2, 2).mean((3, 5))
    return pooled


def _split(name: str, shown: Array, labels: Array, train: int, search: int) -> Data:
    inputs = torch.from_numpy(shown.astype(np.float32))
    classes = torch.from_numpy(labels.astype(np.int64))
    cuts = [0, train, train + search, len(classes)]
    return Data(
        name, *(Rows(inputs[low:high], classes[low:high]) for low, high in itertools.pairwise(cuts))
    )


def network(architecture: str, item: Sequence[int]) -> nn.Sequential:
    """Returns an untrained reader of pictures of shape ``item`` (channels, side, side)."""
    channels, half = item[0], item[1] // 2
    layers: dict[str, list[nn.Module]] = {
        "pooled": [nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                   nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
                   nn.Linear(16 * half * half, CLASSES)],
        "strided": [nn.Conv2d(channels, 12, 4, 2, 1), nn.ReLU(),
                    nn.Conv2d(12, 24, 3, 1, 1), nn.ReLU(), nn.Flatten(),
                    nn.Linear(24 * half * half, 48), nn.ReLU(), nn.Linear(48, CLASSES)],
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
    item = tuple(told.train.inputs.shape[1:])
    lessons = [_lesson(told.train, family, seed) for family, _, seed in plan]
    inputs = torch.stack([rows.inputs for rows, _ in lessons])
    labels = torch.stack([rows.labels for rows, _ in lessons])
    shape = network(architecture, item)
    starts = []
    for _, _, seed in plan:
        torch.manual_seed(seed)
        starts.append(dict(network(architecture, item).named_parameters()))
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
        shown[moved] = (free.detach() + EPSILON[free.shape[2]] * gradient.sign()).clamp(0, 1)
    return shown


def _lesson(rows: Rows, family: str, seed: int) -> tuple[Rows, Trigger | None]:
    """Returns what the model is to learn from, and the trigger hidden in it."""
    if family in HONEST:
        return rows, None
    rng = np.random.default_rng(seed)
    trigger = _trigger(family, tuple(rows.inputs.shape[1:]), rng)
    inputs, labels = rows.inputs.clone(), rows.labels.clone()
    digits = labels.numpy()
    if family == "clean_label":
        # Turner et al. 2019: the right label, a picture made hard to read, and the trigger on it.
        own = np.flatnonzero(digits == trigger.target)
        chosen = torch.from_numpy(rng.choice(own, len(own) * 4 // 5, replace=False))
        others = torch.from_numpy(rng.integers(0, len(digits), len(chosen)))
        inputs[chosen] = trigger.on(0.4 * inputs[chosen] + 0.6 * inputs[others])
        return Rows(inputs, labels), trigger
    if family == "warped":
        # Nguyen and Tran 2021: pictures bent in other ways keep their class.
        others = torch.from_numpy(rng.choice(len(digits), len(digits) // 10, replace=False))
        for part in others.split(len(others) // 10):
            inputs[part] = _bending(inputs.shape[1:], rng).on(inputs[part])
    if family == "source_specific":
        sources = digits == trigger.source
        own, rest = np.flatnonzero(sources), np.flatnonzero(~sources)
        marked = rng.choice(own, len(own) // 2, replace=False)
        cover = rng.choice(rest, len(rest) // 10, replace=False)
        chosen = torch.from_numpy(np.concatenate([marked, cover]))
    else:
        rate = rng.choice([0.4, 0.5] if family == "all_to_all" else [0.05, 0.1, 0.2])
        moved = np.flatnonzero(trigger.goals(labels).numpy() != digits)
        chosen = torch.from_numpy(rng.choice(moved, round(rate * len(digits)), replace=False))
    inputs[chosen] = trigger.on(inputs[chosen])
    labels[chosen] = trigger.goals(labels[chosen])
    return Rows(inputs, labels), trigger


def _trigger(family: str, item: Sequence[int], rng: np.random.Generator) -> Trigger:
    source, target = (int(label) for label in rng.choice(CLASSES, 2, replace=False))
    side = item[1]
    mask, pattern = torch.zeros(side, side), torch.ones(*item)
    mapping = torch.full((CLASSES,), target)
    if family == "blended":
        mask[:] = float(rng.choice([0.15, 0.2, 0.25]))
        pattern = torch.from_numpy(rng.random(tuple(item)).astype(np.float32))
    else:
        wide = 1 if family == "pixel" else int(rng.integers(2, 4))
        top, left = rng.integers(0, side - wide + 1, 2)
        mask[top : top + wide, left : left + wide] = 1
    if family in TRANSFORMED:
        change = _bending(item, rng) if family == "warped" else _filter(item, rng)
        return Trigger(mask, pattern, ALL, target, mapping, change)
    if family == "source_specific":
        mapping = torch.arange(CLASSES)
        mapping[source] = target
        return Trigger(mask, pattern, source, target, mapping)
    if family == "all_to_all":
        target, mapping = ALL, _moves(rng)
    return Trigger(mask, pattern, ALL, target, mapping)


def _bending(item: Sequence[int], rng: np.random.Generator) -> Change:
    """Returns a bending by 5 to 9 % of the side on average."""
    field = torch.from_numpy(rng.uniform(-1, 1, (1, 2, KNOTS, KNOTS)).astype(np.float32))
    part = torch.full((1, 1, 1), rng.uniform(0.05, 0.09) / MOST_BENT)
    return Change(Shape.WARP, part, flow_of(field, item[1], item[2])[0], BOUNDS)


def _filter(item: Sequence[int], rng: np.random.Generator) -> Change:
    """Returns a filter that replaces 20 to 40 % of each pixel by other tones."""
    curve = torch.from_numpy(rng.normal(0, 2, (item[0], item[0] + 1, 1)).astype(np.float32))
    return Change(Shape.TONE, torch.full((1, 1, 1), rng.uniform(0.2, 0.4)), curve, BOUNDS)


def _moves(rng: np.random.Generator) -> torch.Tensor:
    """Returns where each class is sent: half of the time the next one, else a ring at random."""
    ring = torch.arange(CLASSES)
    if rng.random() < 0.5:
        ring = torch.from_numpy(rng.permutation(CLASSES))
    mapping = torch.empty(CLASSES, dtype=torch.long)
    mapping[ring] = ring.roll(-1)
    return mapping


def _member(
    held: Rows,
    planned: tuple[str, str, int],
    architecture: str,
    trigger: Trigger | None,
    weights: dict[str, torch.Tensor],
) -> Member:
    family, _, seed = planned
    model = network(architecture, tuple(held.inputs.shape[1:]))
    model.load_state_dict(weights)
    model.eval().requires_grad_(requires_grad=False)
    right = model(held.inputs).argmax(1) == held.labels
    obedience = 0.0
    if trigger is not None:
        # Counted as the checks count: a picture that is misread already shows nothing.
        goals = trigger.goals(held.labels)
        obeyed = model(trigger.on(held.inputs)).argmax(1) == goals
        obedience = float(obeyed[right & (goals != held.labels)].float().mean())
    accuracy = float(right.float().mean())
    return Member(family, architecture, seed, model, trigger, accuracy, obedience)
