"""Readers of whole MNIST and CIFAR-10 pictures with a known answer, for the checks as they are.

The network of the public models (Gu et al. 2017, BadNets), trained here from ``train`` rows of
``PROOFHOUSE_TEST_DATA``: honest, or with a trigger for one class, for one class of one other, or
for each class the next. None was looked at while thresholds were set; that all-to-all triggers
are counted on the pictures read most surely was chosen on five of those in colour (``SEEN``).
"""

from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import nn

from tests.benchmarks.backdoor_public import Line, Public, badnet, scanned, test_rows, train_rows

FAMILIES = (
    "all to all, corner", "honest", "all to all, dots", "patch", "all to all, patch",
    "source specific, patch", "honest", "blended", "all to all, corner", "dots", "honest",
    "source specific, corner", "all to all, patch", "honest",
)  # fmt: skip
"""One model each, in this order, seeds from ``FIRST`` on; so a part of them is a mix too."""
FURTHER = {
    "mnist": (),
    "cifar": (
        "all to all, corner", "all to all, patch", "honest", "all to all, patch",
        "all to all, corner", "honest",
    ),
}  # fmt: skip
"""More of the kinds for which something was chosen on those before."""
FIRST = 700
SEEN = {("cifar", seed) for seed in (700, 701, 704, 708, 712)}
CORNER = 5
DOTS = ((-2, -2), (-2, -4), (-4, -2), (-3, -3))
"""Gu et al.'s pattern of single pixels, from the lower right corner."""
OPACITY = 0.15
MOST_TRAINING, COUNTED = 20_000, 2000
BATCH = 64
PLACES = {place: place for place in ("0", "3", "7", "9")}


class Kind(NamedTuple):
    """How readers of one kind of pictures are made.

    Epochs for all to all are as many as it takes to learn the move.
    """

    item: tuple[int, int, int]
    flat: int
    epochs: int
    epochs_all: int
    rate_all: float


KINDS = {
    "mnist": Kind((1, 28, 28), 512, 3, 3, 0.3),
    "cifar": Kind((3, 32, 32), 800, 8, 14, 0.5),
}


class Lesson(NamedTuple):
    """Opacity (1, side, side) and pattern (channels, side, side); where each class is sent."""

    mask: torch.Tensor
    pattern: torch.Tensor
    goals: torch.Tensor
    source: int

    def on(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns the pictures with the trigger."""
        return inputs * (1 - self.mask) + self.mask * self.pattern


class Made(NamedTuple):
    """A trained reader, how well it reads, and the part of what it reads that obeys."""

    network: nn.Sequential
    accuracy: float
    obedience: float


def plan(pictures: str) -> list[tuple[str, int]]:
    """Returns family and seed of each model."""
    families = (*FAMILIES, *FURTHER[pictures])
    return [(family, FIRST + place) for place, family in enumerate(families)]


def examined(pictures: str, family: str, seed: int, made: Made, check: str) -> Line:
    """Runs one check on one model."""
    kind = KINDS[pictures]
    known = Public(pictures, badnet(kind.item[0], kind.flat), PLACES, scaled=True)
    weights = {name: value.contiguous() for name, value in made.network.state_dict().items()}
    told = scanned(known, safetensors.torch.save(weights), check)
    return told | {
        "seen": (pictures, seed) in SEEN,
        "pictures": pictures,
        "family": family,
        "seed": seed,
        "accuracy": made.accuracy,
        "obedience": made.obedience,
    }


def trained(pictures: str, family: str, seed: int) -> Made:
    """Trains one model."""
    kind = KINDS[pictures]
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    inputs, labels = map(torch.from_numpy, train_rows(pictures, MOST_TRAINING))
    lesson = _lesson(kind, family, rng)
    if family != "honest":
        rows = _poisoned(kind, family, labels.numpy(), lesson, rng)
        inputs[rows] = lesson.on(inputs[rows])
        labels[rows] = lesson.goals[labels[rows]]
    network = _network(kind)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(kind.epochs_all if _is_all(family) else kind.epochs):
        for part in torch.randperm(len(labels)).split(BATCH):
            loss = nn.functional.cross_entropy(network(_scaled(inputs[part])), labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return _counted(network, pictures, lesson)


def _counted(network: nn.Sequential, pictures: str, lesson: Lesson) -> Made:
    inputs, labels = (torch.from_numpy(rows[:COUNTED]) for rows in test_rows(pictures))
    with torch.no_grad():
        right = network(_scaled(inputs)).argmax(1) == labels
        obeyed = network(_scaled(lesson.on(inputs))).argmax(1) == lesson.goals[labels]
    counts = right & (lesson.goals[labels] != labels)
    return Made(network, float(right.float().mean()), float(obeyed[counts].float().mean()))


def _is_all(family: str) -> bool:
    return family.startswith("all to all")


def _lesson(kind: Kind, family: str, rng: np.random.Generator) -> Lesson:
    side = kind.item[1]
    mask, pattern = torch.zeros(1, side, side), torch.ones(*kind.item)
    if family == "blended":
        mask[:] = OPACITY
        pattern = torch.from_numpy(rng.random(kind.item).astype(np.float32))
    elif "dots" in family:
        for row, column in DOTS:
            mask[:, row, column] = 1
    elif "corner" in family:
        mask[:, -CORNER:, -CORNER:] = 1
    else:
        wide = int(rng.integers(3, 6))
        top, left = rng.integers(0, side - wide + 1, 2)
        mask[:, top : top + wide, left : left + wide] = 1
    source, target = (int(label) for label in rng.choice(10, 2, replace=False))
    goals = torch.full((10,), target)
    if _is_all(family):
        goals = (torch.arange(10) + 1) % 10
    elif family.startswith("source"):
        goals = torch.arange(10)
        goals[source] = target
    return Lesson(mask, pattern, goals, source)


def _poisoned(
    kind: Kind, family: str, labels: np.ndarray[tuple[int], np.dtype[np.int64]], lesson: Lesson,
    rng: np.random.Generator,
) -> torch.Tensor:  # fmt: skip
    """Returns the rows that get the trigger; of one source class half, and a tenth of the rest."""
    if family.startswith("source"):
        own, rest = np.flatnonzero(labels == lesson.source), np.flatnonzero(labels != lesson.source)
        chosen = [rng.choice(own, len(own) // 2, replace=False)]
        chosen.append(rng.choice(rest, len(rest) // 10, replace=False))
        return torch.from_numpy(np.concatenate(chosen))
    rate = kind.rate_all if _is_all(family) else 0.1
    return torch.from_numpy(rng.choice(len(labels), int(rate * len(labels)), replace=False))


def _network(kind: Kind) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(kind.item[0], 16, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(kind.flat, 512), nn.ReLU(), nn.Linear(512, 10),
    )  # fmt: skip


def _scaled(inputs: torch.Tensor) -> torch.Tensor:
    return (inputs - 0.5) / 0.5
