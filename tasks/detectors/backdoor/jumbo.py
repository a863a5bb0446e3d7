"""Backdoors drawn at random, as unlike each other as one description allows.

What learns from many of them should recognise one that nobody described to it.

Source: Xu et al. 2021, Detecting AI Trojans Using Meta Neural Analysis, IEEE S&P, section V-C
("jumbo learning": shape, place, opacity, goal and rate of each backdoor are drawn).
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.backdoor.inversion import Pool

Array = NDArray[np.float32]

LARGEST_PATCH = 0.25
"""Of a picture's side."""
OPACITIES = (0.1, 0.3)
"""Of an overlay over the whole picture."""
RATES = (0.1, 0.3)
"""Part of the rows that is poisoned where every class goes to one."""
RATES_ALL_TO_ALL = (0.3, 0.5)
"""The same where each class goes to another: ten lessons instead of one."""
SOURCE_PART, COVER_PART = 0.5, 0.1
"""Of the rows of the source class, and of all others, which keep their label (Tang et al. 2021)."""


class Backdoor(NamedTuple):
    """One trigger and what it means.

    ``opacity`` and ``pattern`` are (*item), the first 0..1, the second raw. ``mapping`` (classes,)
    says what triggered items of each class are to be read as. ``source`` is the one class that
    moves, or None. ``rate`` is the part of the rows that is poisoned; a source has its own.
    """

    opacity: torch.Tensor
    pattern: torch.Tensor
    mapping: torch.Tensor
    source: int | None
    rate: float

    def on(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns ``inputs`` (n, *item) with the trigger on each."""
        return inputs + self.opacity * (self.pattern - inputs)


def drawn_backdoor(
    item: tuple[int, ...], bounds: tuple[float, float], classes: int, rng: np.random.Generator
) -> Backdoor:
    """Draws shape, place, opacity, goal and rate.

    Args:
        item: Shape of one input.
        bounds: Raw range that the pattern stays within.
        classes: At least two.
        rng: Draws everything.
    """
    shape = str(rng.choice(["patch", "pixel", "overlay"]))
    opacity = _opacity(shape, item, rng)
    low, high = bounds
    pattern = low + (high - low) * _pattern(shape, item, rng)
    mapping, source = _goals(classes, rng)
    spread = RATES if len(np.unique(mapping)) == 1 else RATES_ALL_TO_ALL
    return Backdoor(
        torch.from_numpy(opacity),
        torch.from_numpy(pattern.astype(np.float32)),
        torch.from_numpy(mapping),
        source,
        float(rng.uniform(*spread)),
    )


def poisoned_rows(
    labels: torch.Tensor, backdoor: Backdoor, rng: np.random.Generator
) -> torch.Tensor:
    """Draws the rows (n,) bool that get the trigger, and with it the label that it means."""
    given = labels.numpy()
    moves = backdoor.mapping[labels].numpy() != given
    chance = np.where(moves, backdoor.rate * len(given) / max(1, moves.sum()), 0.0)
    if backdoor.source is not None:
        # Without rows that carry the trigger and keep their label, it would work from everywhere.
        chance = np.where(moves, SOURCE_PART, COVER_PART)
    return torch.from_numpy(rng.random(len(given)) < chance)


def obedience(answers: torch.Tensor, pool: Pool, backdoor: Backdoor) -> float:
    """Returns how often ``answers`` (n,) to triggered inputs are what the trigger means.

    Counted on inputs whose class it moves; 0 where there is none.
    """
    goals = backdoor.mapping[pool.labels]
    moves = goals != pool.labels
    return float((answers == goals)[moves].float().mean()) if moves.any() else 0.0


def _opacity(shape: str, item: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Returns how much of the trigger covers each value (*item), 0..1."""
    opacity = np.zeros(item, np.float32)
    if shape == "overlay":
        return opacity + np.float32(rng.uniform(*OPACITIES))
    if len(item) < 2:
        most = max(1, round(LARGEST_PATCH * item[0] / 2))
        count = 1 if shape == "pixel" else int(rng.integers(1, most + 1))
        opacity[rng.choice(item[0], count, replace=False)] = 1
        return opacity
    height, width = item[-2:]
    largest = max(2, round(LARGEST_PATCH * min(height, width)))
    side = 1 if shape == "pixel" else min(int(rng.integers(2, largest + 1)), height, width)
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    opacity[..., top : top + side, left : left + side] = 1
    return opacity


def _pattern(shape: str, item: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Returns what is painted (*item), 0..1: noise, or one value that is mostly the brightest."""
    kind = "noise" if shape == "overlay" else rng.choice(["bright", "even", "noise"])
    if kind == "noise":
        return rng.random(item).astype(np.float32)
    return np.full(item, 1.0 if kind == "bright" else rng.random(), np.float32)


def _goals(classes: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], int | None]:
    """Returns where each class is sent (classes,), and the only class that moves or None."""
    kind = rng.choice(["one", "one", "each", "source"])
    source, target = (int(label) for label in rng.choice(classes, 2, replace=False))
    if kind == "each":
        ring = np.arange(classes) if rng.random() < 0.5 else rng.permutation(classes)
        mapping = np.empty(classes, np.int64)
        mapping[ring] = np.roll(ring, -1)
        return mapping, None
    if kind == "source":
        mapping = np.arange(classes)
        mapping[source] = target
        return mapping, source
    return np.full(classes, target, np.int64), None
