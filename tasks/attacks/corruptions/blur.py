"""Blur of lenses and motion: defocus, frosted glass, motion, zoom."""

import numpy as np
from scipy import ndimage

from tasks.attacks.corruptions.picture import Picture, grid, sampled, side_of, smoothed

DISKS = (0.012, 0.018, 0.025, 0.037, 0.05)
"""Radius of the disk of confusion, as a share of the side."""
GLASS = ((0.010, 0.02, 1), (0.012, 0.03, 1), (0.014, 0.04, 1), (0.012, 0.03, 2), (0.014, 0.045, 2))
"""Blur and displacement, as shares of the side, and how often pixels are displaced."""
MOTION = (0.06, 0.09, 0.12, 0.16, 0.20)
"""Half the length of the trace, as a share of the side."""
ZOOM = (1.06, 1.11, 1.16, 1.21, 1.26)
FINE = 9
"""Points per pixel and axis by which a small disk is drawn."""
EXPOSURES = 9
"""Pictures that a motion or zoom blur averages."""


def defocus_blur(picture: Picture, severity: int, _rng: np.random.Generator) -> Picture:
    """Spreads every point over a disk."""
    kernel = disk(DISKS[severity - 1] * side_of(picture))
    return np.stack([ndimage.convolve(plane, kernel, mode="nearest") for plane in picture])


def disk(radius: float) -> Picture:
    """Returns a disk as a kernel that sums to one, with soft edges: any radius has an effect."""
    reach = int(np.ceil(radius + 0.5))
    fine = (np.arange((2 * reach + 1) * FINE) + 0.5) / FINE - reach - 0.5
    drawn = (np.hypot(fine[:, None], fine[None]) <= radius).astype(float)
    cells = drawn.reshape(2 * reach + 1, FINE, 2 * reach + 1, FINE).mean(axis=(1, 3))
    # A pixel is a square itself: without its own extent a tiny disk would do nothing.
    soft = np.array([min(radius, 1), 1, min(radius, 1)])
    kernel: Picture = ndimage.convolve(cells, np.outer(soft, soft), mode="constant")
    kernel /= kernel.sum()
    return kernel


def glass_blur(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Displaces pixels at random within a small neighbourhood, between two blurs."""
    blur, reach, turns = GLASS[severity - 1]
    side = side_of(picture)
    seen = smoothed(picture, blur * side)
    rows, columns = grid(picture)
    for _ in range(turns):
        jitter = rng.uniform(-1, 1, (2, *rows.shape)) * reach * side
        seen = sampled(seen, rows + jitter[0], columns + jitter[1])
    return smoothed(seen, blur * side)


def motion_blur(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Averages the picture along a short straight trace, its middle the brightest."""
    return moved(picture, MOTION[severity - 1] * side_of(picture), rng.uniform(-45, 45))


def moved(picture: Picture, half: float, degrees: float) -> Picture:
    """Returns the average over a trace of ``half`` pixels to each side, at an angle."""
    rows, columns = grid(picture)
    angle = np.deg2rad(degrees)
    way = np.linspace(-1, 1, EXPOSURES)
    weights = np.exp(-2 * way**2)
    shown = [
        weight
        * sampled(picture, rows + half * at * np.sin(angle), columns + half * at * np.cos(angle))
        for at, weight in zip(way, weights, strict=True)
    ]
    average: Picture = np.sum(shown, axis=0) / weights.sum()
    return average


def zoom_blur(picture: Picture, severity: int, _rng: np.random.Generator) -> Picture:
    """Averages the picture over magnifications from none to the largest."""
    rows, columns = grid(picture)
    middle = [(length - 1) / 2 for length in picture.shape[1:]]
    shown = [
        sampled(
            picture, middle[0] + (rows - middle[0]) / by, middle[1] + (columns - middle[1]) / by
        )
        for by in np.linspace(1, ZOOM[severity - 1], EXPOSURES)
    ]
    average: Picture = np.mean(shown, axis=0)
    return average
