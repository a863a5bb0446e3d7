"""Small networks of our own, trained on the rows in question, and what they say of each row.

A network that learns from poisoned rows learns their trigger. Training passes over the rows whole
epochs, so that each row is seen equally often and its margins can be compared (``margins``).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.poisoning.views import Floats

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]
BATCH = 128
LEARNING_RATE = 3e-3
WIDTH = 100
LEAST_SIDE = 8
"""Smaller pictures, and tables, go through a dense network."""


class Student(NamedTuple):
    """A trained network, and the mean margin of each row over the epochs (n,)."""

    network: torch.nn.Sequential
    margins: Scores

    def scores(self, shown: Floats) -> Floats:
        """Returns the logits (n, classes)."""
        return _through(self.network, shown)

    def answers(self, shown: Floats) -> Labels:
        """Returns the predicted classes (n,)."""
        answered: Labels = self.scores(shown).argmax(1)
        return answered

    def features(self, shown: Floats) -> Floats:
        """Returns the activations before the last layer (n, width)."""
        return _through(self.network[:-1], shown)


class Strangers(NamedTuple):
    """Two networks that each learnt one half of the rows: every row has one that never saw it."""

    half: Labels
    """Of each row (n,), 0 or 1."""
    students: tuple[Student, Student]
    """The first did not learn half 0, the second not half 1."""

    def answers(self, shown: Floats, places: NDArray[np.intp]) -> Labels:
        """Returns the classes of changed copies of rows (m, *item) that lie at ``places`` (m,)."""
        answered = np.zeros(len(places), np.int64)
        for half, student in enumerate(self.students):
            own = self.half[places] == half
            answered[own] = student.answers(shown[own])
        return answered


def strangers(shown: Floats, labels: Labels, *, classes: int, epochs: int, seed: int) -> Strangers:
    """Trains both, as :func:`taught` does."""
    half = np.random.default_rng(seed).permutation(len(labels)) % 2
    first, second = (
        taught(
            shown[half != own], labels[half != own], classes=classes, epochs=epochs, seed=seed + own
        )
        for own in (0, 1)
    )
    return Strangers(half.astype(np.int64), (first, second))


def taught(shown: Floats, labels: Labels, *, classes: int, epochs: int, seed: int) -> Student:
    """Trains a network on rows (n, *item) as a view shows them.

    Margins (logit of the label minus the largest other) are read from the training passes
    themselves and cost nothing (Pleiss et al. 2020, AUM).
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = _network(shown.shape[1:], classes)
    inputs, truth = torch.from_numpy(shown), torch.from_numpy(labels)
    steps = epochs * (-(-len(labels) // BATCH))
    optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=max(steps, 1))
    generator = torch.Generator().manual_seed(seed)
    margins = torch.zeros(len(labels))
    for _ in range(epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(BATCH):
            logits = network(inputs[rows])
            loss = torch.nn.functional.cross_entropy(logits, truth[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            plan.step()
            margins[rows] += _margins(logits.detach(), truth[rows]) / epochs
    for weight in network.parameters():
        weight.requires_grad = False
    return Student(network, margins.numpy().astype(np.float64))


def _margins(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return own - others


def _through(layers: torch.nn.Module, shown: Floats) -> Floats:
    with torch.no_grad():
        parts = [layers(part) for part in torch.from_numpy(shown).split(1000)]
    seen: Floats = torch.cat(parts).numpy()
    return seen


def _network(item: tuple[int, ...], classes: int) -> torch.nn.Sequential:
    if len(item) == 3 and min(item[1:]) >= LEAST_SIDE:
        flat = 32 * (-(-item[1] // 4)) * (-(-item[2] // 4))
        layers: list[Any] = [
            torch.nn.Conv2d(item[0], 16, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
        ]
    else:
        flat, layers = int(np.prod(item)), [torch.nn.Flatten()]
    layers += [torch.nn.Linear(flat, WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, classes)]
    return torch.nn.Sequential(*layers)
