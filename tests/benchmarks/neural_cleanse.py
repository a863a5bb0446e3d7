"""Neural Cleanse as its paper has it, for the benchmark to compare with.

Source: Wang et al. 2019, IEEE S&P, doi 10.1109/SP.2019.00031, section IV and the authors' defaults:
Adam at 0.1 with betas 0.5 and 0.9, the weight of the mask's size starting at 1e-3 and moved by a
factor of 1.5 (1.5 to the 1.5 downwards) after five epochs above or below 99 % success; anomaly
index above 2 with the constant 1.4826. All classes descend side by side, which changes no class's
search and saves time, not passes.
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
    """Inverts every class on raw pictures (n, channels, side, side) in 0..1."""
    torch.manual_seed(seed)
    shown = inputs[:PICTURES]
    norms = _smallest_masks(model, shown, classes)
    sizes = torch.tensor(norms)
    median = sizes.median()
    spread = 1.4826 * (sizes - median).abs().median()
    target = int(sizes.argmin())
    index = float((median - sizes[target]) / spread.clamp_min(1e-9))
    return Cleansed(norms, index, target, classes * EPOCHS * len(shown))


def _smallest_masks(model: nn.Module, inputs: torch.Tensor, classes: int) -> list[float]:
    mask = torch.randn(classes, 1, 1, *inputs.shape[-2:]).requires_grad_()
    pattern = torch.randn(classes, 1, *inputs.shape[1:]).requires_grad_()
    optimiser = torch.optim.Adam([mask, pattern], lr=0.1, betas=(0.5, 0.9))
    best = torch.full((classes,), float(inputs.shape[-2] * inputs.shape[-1]))
    weight = torch.full((classes,), FIRST_WEIGHT)
    above, below = torch.zeros(classes), torch.zeros(classes)
    for _ in range(EPOCHS):
        hits, norm = torch.zeros(classes), torch.zeros(classes)
        for rows in torch.randperm(len(inputs)).split(BATCH):
            opacity = torch.tanh(mask) / 2 + 0.5
            painted = (1 - opacity) * inputs[rows] + opacity * (torch.tanh(pattern) / 2 + 0.5)
            scores = model(painted.flatten(0, 1)).view(classes, len(rows), -1)
            goals = torch.arange(classes)[:, None].expand(classes, len(rows))
            size = opacity.flatten(1).sum(1)
            losses = nn.functional.cross_entropy(
                scores.flatten(0, 1), goals.flatten(), reduction="none"
            ).view(classes, len(rows))
            optimiser.zero_grad()
            (losses.mean(1) + weight * size).sum().backward()
            optimiser.step()
            hits += (scores.detach().argmax(2) == goals).float().sum(1)
            norm += size.detach() * len(rows)
        good = hits / len(inputs) >= WANTED
        best = torch.where(good, torch.minimum(best, norm / len(inputs)), best)
        above, below = torch.where(good, above + 1, 0), torch.where(good, 0, below + 1)
        raised, lowered = above >= PATIENCE, below >= PATIENCE
        weight = torch.where(raised, weight * FACTOR, weight)
        weight = torch.where(lowered, weight / FACTOR**1.5, weight)
        above, below = above.masked_fill(raised, 0), below.masked_fill(lowered, 0)
    found: list[float] = best.tolist()
    return found
