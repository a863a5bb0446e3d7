"""Pictures as the corruptions take them: (channels, height, width), float64 in 0..1."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Picture = NDArray[np.float64]
CHANNELS = {1, 3, 4}
FEWEST_PIXELS = 4


class Layout:
    """How the items of a model lie in memory, and the way to pictures and back.

    Args:
        shape: Of one item: (height, width), (channels, height, width) or channels last.
        bounds: Raw range.

    Raises:
        ValueError: Items of this shape are no pictures.
    """

    def __init__(self, shape: tuple[int, ...], bounds: tuple[float, float]) -> None:
        self.shape, (self.low, self.high) = shape, bounds
        self.channels_last = len(shape) == 3 and shape[2] in CHANNELS and shape[0] not in CHANNELS
        sides = shape[:2] if self.channels_last else shape[-2:]
        if len(shape) not in {2, 3} or min(sides) < FEWEST_PIXELS:
            raise ValueError(f"items of shape {shape} are no pictures")
        self.sides: tuple[int, int] = (sides[0], sides[1])

    def picture(self, item: NDArray[np.float32]) -> Picture:
        """Returns one raw item as a picture."""
        unit = (item.astype(np.float64) - self.low) / (self.high - self.low)
        if self.channels_last:
            unit = np.moveaxis(unit, -1, 0)
        return unit.reshape(-1, *self.sides)

    def item(self, picture: Picture) -> NDArray[np.float32]:
        """Returns a picture as a raw item; what left 0..1 is cut off."""
        raw = np.clip(picture, 0, 1) * (self.high - self.low) + self.low
        if self.channels_last:
            raw = np.moveaxis(raw, 0, -1)
        return raw.reshape(self.shape).astype(np.float32)


def side_of(picture: Picture) -> int:
    """Returns the shorter side in pixels."""
    return int(min(picture.shape[1:]))


def sampled(picture: Picture, rows: Picture, columns: Picture) -> Picture:
    """Returns the picture read at real-valued places (height, width), edges repeated."""
    places = np.stack([rows, columns])
    return np.stack(
        [ndimage.map_coordinates(plane, places, order=1, mode="nearest") for plane in picture]
    )


def grid(picture: Picture) -> tuple[Picture, Picture]:
    """Returns the row and the column number of every pixel."""
    numbers: Picture = np.indices(picture.shape[1:], dtype=np.float64)
    return numbers[0], numbers[1]


def smoothed(picture: Picture, sigma: float) -> Picture:
    """Returns each plane under a Gaussian blur of ``sigma`` pixels."""
    blurred: Picture = ndimage.gaussian_filter(picture, (0, sigma, sigma), mode="nearest")
    return blurred


def plasma(sides: tuple[int, int], rng: np.random.Generator, roughness: float) -> Picture:
    """Returns fractal noise (height, width) in 0..1; less roughness is smoother.

    Octaves of noise, each twice as fine and ``2**roughness`` times as weak as the one before.
    """
    total = np.zeros(sides)
    cells = 2
    weight = 1.0
    while cells <= 2 * max(sides):
        coarse = rng.random((cells + 1, cells + 1))
        rows = np.linspace(0, cells, sides[0])[:, None].repeat(sides[1], axis=1)
        columns = np.linspace(0, cells, sides[1])[None].repeat(sides[0], axis=0)
        total += weight * ndimage.map_coordinates(coarse, [rows, columns], order=1)
        cells, weight = cells * 2, weight / 2**roughness
    total -= total.min()
    spread: Picture = total / max(total.max(), 1e-9)
    return spread
