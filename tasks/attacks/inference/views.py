"""Several looks at one item: a model that learnt an item also knows it from its neighbours.

Augmented queries of the likelihood ratio attack: each look is compared with what the shadow models
say of the same look, and the evidence is averaged.

Source: Carlini et al. 2022, arXiv 2112.03570, section 6.C (queries on augmented copies).
"""

from collections.abc import Iterator

import numpy as np

from tasks.sandbox.protocol import Array

SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1))
"""Rows and columns that a picture moves by; its edge is repeated."""
NOISE, FLIPS = 0.02, 0.01
"""Of what has no neighbours: noise as a share of each column's spread, chance of a flipped bit."""


def views(inputs: Array, count: int) -> Iterator[Array]:
    """Yields ``count`` looks at all items (items, …); the first is the items themselves.

    Pictures (channels, height, width) move by one pixel, and are drawn with noise when all shifts
    are used; other items get noise, and rows of two values get flips. Equal arguments yield equal
    looks, so target and shadow models are asked the same.
    """
    yield inputs
    rng = np.random.default_rng(0)
    shifts = iter(SHIFTS if inputs.ndim == 4 else ())
    for _ in range(count - 1):
        if (shift := next(shifts, None)) is not None:
            yield shifted(inputs, *shift)
        else:
            yield _disturbed(inputs, rng)


def shifted(inputs: Array, down: int, right: int) -> Array:
    """Returns pictures (items, channels, height, width) moved by up to one pixel each way."""
    edges = ((0, 0), (0, 0), (1, 1), (1, 1))
    padded = np.pad(inputs, edges, mode="edge")
    height, width = inputs.shape[2:]
    moved: Array = padded[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
    return np.ascontiguousarray(moved)


def _disturbed(inputs: Array, rng: np.random.Generator) -> Array:
    low, high = inputs.min(), inputs.max()
    if np.isin(inputs, (low, high)).all():
        flips = rng.random(inputs.shape) < FLIPS
        flipped: Array = np.where(flips, low + high - inputs, inputs).astype(inputs.dtype)
        return flipped
    noise = rng.normal(0, NOISE, inputs.shape) * inputs.std(axis=0)
    noisy: Array = np.clip(inputs + noise, low, high).astype(inputs.dtype)
    return noisy
