"""Neural Cleanse as its paper has it, for the benchmark to compare with.

Source: Wang et al. 2019, IEEE S&P, doi 10.1109/SP.2019.00031, section IV and the authors' defaults:
Adam at 0.1 with betas 0.5 and 0.9, the weight of the mask's size starting at 1e-3 and moved by a
factor of 1.5 (1.5 to the 1.5 downwards) after five epochs above or below 99 % success, each class
after the other; anomaly index above 2 with the constant 1.4826.
"""

from typing import NamedTuple

import torch
from torch import nn

PICTURES, EPOCHS, BATCH = 300, 25, 30
WANTED, PATIENCE, FACTOR, FIRST_WEIGHT = 0.99, 5, 1.5, 1e-3
OUTLIER = 2.0


class Cleansed(NamedTuple):
    """Size of each class's mask, oddness of the smallest, that class, and pictures forward."""

    norms: list[float]
    oddness: float
    target: int
    forwards: int


def neural_cleanse(model: nn.Module, inputs: torch.Tensor, classes: int, seed: int) -> Cleansed:
    """Inverts one class after the other on raw pictures (n, channels, side, side) in 0..1."""
    torch.manual_seed(seed)
    shown = inputs[:PICTURES]
    norms = [_smallest_mask(model, shown, target) for target in range(classes)]
    sizes = torch.tensor(norms)
    median = sizes.median()
    spread = 1.4826 * (sizes - median).abs().median()
    target = int(sizes.argmin())
    index = float((median - sizes[target]) / spread.clamp_min(1e-9))
    return Cleansed(norms, index, target, classes * EPOCHS * len(shown))


def _smallest_mask(model: nn.Module, inputs: torch.Tensor, target: int) -> float:
    mask = torch.randn(1, *inputs.shape[-2:]).requires_grad_()
    pattern = torch.randn(inputs.shape[1:]).requires_grad_()
    optimiser = torch.optim.Adam([mask, pattern], lr=0.1, betas=(0.5, 0.9))
    best, weight, above, below = float(mask.numel()), FIRST_WEIGHT, 0, 0
    for _ in range(EPOCHS):
        hits, norm = 0, 0.0
        for rows in torch.randperm(len(inputs)).split(BATCH):
            opacity = torch.tanh(mask) / 2 + 0.5
            painted = (1 - opacity) * inputs[rows] + opacity * (torch.tanh(pattern) / 2 + 0.5)
            scores = model(painted)
            goals = torch.full((len(rows),), target)
            size = opacity.abs().sum()
            loss = nn.functional.cross_entropy(scores, goals) + weight * size
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            hits += int((scores.argmax(1) == target).sum())
            norm += float(size) * len(rows)
        if (reached := hits / len(inputs)) >= WANTED:
            best = min(best, norm / len(inputs))
        above, below = (above + 1, 0) if reached >= WANTED else (0, below + 1)
        if above >= PATIENCE:
            weight, above = weight * FACTOR, 0
        if below >= PATIENCE:
            weight, below = weight / FACTOR**1.5, 0
    return best
