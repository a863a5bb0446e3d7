"""Membership by labels alone: members keep their label under noise longer than others do.

Runs only in the sandbox child. Source: Choquette-Choo et al. 2021, arXiv 2007.14321, section 4
(augmentation and random-noise attacks).
"""

import numpy as np

from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Images, Target, predicted

SCALES = (0.02, 0.05, 0.1, 0.2)
"""Standard deviation of the noise, or chance of a flip, as a share of the input range."""


def label_noise(target: Target, *, inputs: Images, labels: Array, queries: int, seed: int) -> Reply:
    """Returns how often the right label survives noise and shifts.

    Args:
        target: The opened model; only its labels are looked at.
        inputs: Raw items (items, …).
        labels: True classes (items,).
        queries: For each item, at least 1. Cost: items * queries queries.
        seed: Seeds the noise, the same for all items.

    Returns:
        ``arrays["signal"]`` (items,) float64, 0 to 1, higher for members; ``values["queries"]``
        and ``values["passes"]``.
    """
    before = target.meter.passes
    rng = np.random.default_rng(seed)
    low, high = target.bounds
    binary = bool(np.isin(inputs, (low, high)).all())
    kept = np.zeros(len(inputs))
    for turn in range(queries):
        scale = SCALES[turn % len(SCALES)]
        moved = _moved(inputs, scale, (low, high), binary, rng)
        kept += predicted(target, moved) == labels
    return Reply(
        {"signal": kept / queries},
        {"passes": target.meter.passes - before, "queries": queries * len(inputs)},
    )


def _moved(
    inputs: Images,
    scale: float,
    bounds: tuple[float, float],
    binary: bool,
    rng: np.random.Generator,
) -> Images:
    """Flips binary values, shifts pictures by a pixel now and then, adds noise to the rest."""
    low, high = bounds
    if binary:
        flips = rng.random(inputs.shape[1:]) < scale / 2
        flipped: Images = np.where(flips, low + high - inputs, inputs).astype(np.float32)
        return flipped
    if inputs.ndim == 4:
        steps = rng.integers(-1, 2, 2)
        inputs = np.roll(inputs, tuple(int(step) for step in steps), axis=(2, 3))
    noise = rng.normal(0, scale * (high - low), inputs.shape[1:])
    noisy: Images = np.clip(inputs + noise, low, high).astype(np.float32)
    return noisy
