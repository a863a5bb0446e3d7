"""Noise of sensors: Gaussian, shot and impulse."""

import numpy as np

from tasks.attacks.corruptions.picture import Picture

GAUSSIAN = (0.04, 0.06, 0.08, 0.09, 0.10)
PHOTONS = (500, 250, 100, 75, 50)
IMPULSES = (0.01, 0.02, 0.03, 0.05, 0.07)


def gaussian_noise(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Adds independent normal noise to every value."""
    return picture + rng.normal(size=picture.shape) * GAUSSIAN[severity - 1]


def shot_noise(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Counts photons: the darker, the noisier."""
    photons = PHOTONS[severity - 1]
    return rng.poisson(np.clip(picture, 0, 1) * photons) / photons


def impulse_noise(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Sets some values to an end of the range (salt and pepper)."""
    hit = rng.random(picture.shape) < IMPULSES[severity - 1]
    return np.where(hit, rng.integers(0, 2, picture.shape).astype(float), picture)
