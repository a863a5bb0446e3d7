"""A small network of our own, trained on the data in question, and what it sees in each row.

A network that learns from poisoned rows learns their trigger, so in its features those rows lie
far from the honest rows of the class they claim. Source: Tran et al. 2018, section 3.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.backdoor.controls import train
from tasks.detectors.backdoor.inversion import Pool

Floats = NDArray[np.float32]
LEAST_SIDE = 8
"""Smaller pictures, and rows, go through a dense network."""


def penultimate(
    inputs: Floats, labels: NDArray[np.int64], reference: Floats, *, steps: int, seed: int
) -> tuple[Floats, Floats, float]:
    """Trains on ``inputs`` and returns the features of both sets, and the accuracy reached.

    Args:
        inputs: Rows to train on (n, *item), any scale.
        labels: Their classes (n,).
        reference: Rows of the same kind that are only looked at (m, *item).
        steps: Descents of 64 rows each.
        seed: Draws weights and batches.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    network = _network(inputs.shape[1:], int(labels.max()) + 1)
    pool = Pool(torch.from_numpy(inputs), torch.from_numpy(labels))
    learnt = train(network, pool, steps=steps, seed=seed)
    return _seen(network[:-1], inputs), _seen(network[:-1], reference), learnt


def _seen(layers: torch.nn.Module, inputs: Floats) -> Floats:
    with torch.no_grad():
        parts = [layers(part) for part in torch.from_numpy(inputs).split(512)]
    seen: Floats = torch.cat(parts).numpy()
    return seen


def _network(item: tuple[int, ...], classes: int) -> torch.nn.Sequential:
    if len(item) == 3 and min(item[1:]) >= LEAST_SIDE:
        flat = 32 * (item[1] // 4) * (item[2] // 4)
        layers: list[Any] = [
            torch.nn.Conv2d(item[0], 16, 4, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 4, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
        ]
    else:
        flat, layers = int(np.prod(item)), [torch.nn.Flatten()]
    layers += [torch.nn.Linear(flat, 100), torch.nn.ReLU(), torch.nn.Linear(100, classes)]
    return torch.nn.Sequential(*layers)
