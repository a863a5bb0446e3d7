"""Bendings and filters on this side: what ``tasks/detectors/backdoor/transforms.py`` describes.

Written again without the library that the child computes with, so that nobody has to believe it.
"""

import numpy as np

from tasks.sandbox.protocol import Array

MOST_BENT = 0.25
"""Mean displacement at full strength, as a part of the side."""


def bent(inputs: Array, strength: Array, flow: Array) -> Array:
    """Returns pictures (n, channels, height, width) read at displaced places, float32.

    Args:
        inputs: The pictures.
        strength: 0..1 (1, 1, 1).
        flow: How far at full strength (2, height, width): across in parts of the width, then down
            in parts of the height. Between pixels weights are bilinear; the border goes on.
    """
    height, width = inputs.shape[-2:]
    across, down = np.meshgrid(np.arange(width), np.arange(height))
    shift = strength[0] * flow
    right, right_part = _cell(across + shift[0] * (width - 1), width)
    below, below_part = _cell(down + shift[1] * (height - 1), height)
    read = np.zeros(inputs.shape, np.float32)
    for row, down_part in (
        (below, 1 - below_part),
        (np.minimum(below + 1, height - 1), below_part),
    ):
        for column, part in (
            (right, 1 - right_part),
            (np.minimum(right + 1, width - 1), right_part),
        ):
            read += (down_part * part).astype(np.float32) * inputs[..., row, column]
    return read


def _cell(places: Array, side: int) -> tuple[Array, Array]:
    """Returns the pixel before each place, and how far on the place lies, 0..1."""
    inside = places.clip(0, side - 1)
    before = np.floor(inside).astype(np.int64)
    return before, inside - before


def toned(inputs: Array, strength: Array, curve: Array, bounds: tuple[float, float]) -> Array:
    """Returns pictures mixed with what a filter makes of each pixel's colours, float32.

    Args:
        inputs: Pictures (n, channels, height, width).
        strength: The filter's part of the mixture, 0..1 (1, 1, 1).
        curve: Weights (channels, channels + 1, 1) of each new channel on the old ones, which run
            from -1 to 1, and last a constant; the sum goes through a sigmoid into the range.
        bounds: Raw range of the inputs.
    """
    low, high = bounds
    scaled = 2 * (inputs - low) / (high - low) - 1
    mixed = np.einsum("oi,nihw->nohw", curve[:, :-1, 0], scaled) + curve[:, -1, 0][:, None, None]
    # The same sigmoid by a function that does not overflow.
    filtered = low + (high - low) * (0.5 + 0.5 * np.tanh(mixed / 2))
    seen: Array = ((1 - strength) * inputs + strength * filtered).astype(np.float32)
    return seen
