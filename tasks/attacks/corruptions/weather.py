"""Weather before the lens: snow, frost, fog, brightness."""

import numpy as np
from scipy import ndimage

from tasks.attacks.corruptions.blur import moved
from tasks.attacks.corruptions.picture import Picture, plasma, side_of

SNOW = (
    (0.1, 0.2, 0.6, 0.03, 0.95),
    (0.1, 0.2, 0.5, 0.04, 0.9),
    (0.15, 0.3, 0.55, 0.05, 0.9),
    (0.25, 0.3, 0.6, 0.06, 0.85),
    (0.3, 0.3, 0.6, 0.08, 0.8),
)
"""Mean and spread of flakes, threshold, trace as a share of the side, share of the picture left."""
FROST = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))
"""Share of the picture and share of the crystals."""
FOG = ((0.2, 0.9), (0.5, 0.9), (0.75, 0.75), (1.0, 0.6), (1.5, 0.5))
"""Thickness and roughness."""
BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)


def snow(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Whitens the scene and lets bright flakes fall through it."""
    mean, spread, threshold, trace, left = SNOW[severity - 1]
    flakes = rng.normal(mean, spread, picture.shape[1:])
    flakes = np.where(flakes < threshold, 0, flakes)[None]
    falling = moved(flakes, trace * side_of(picture), rng.uniform(-135, -45))[0]
    grey = picture.mean(axis=0, keepdims=True)
    pale = np.maximum(picture, grey * 1.5 + 0.5)
    snowy: Picture = left * picture + (1 - left) * pale + falling + np.rot90(falling, 2)
    return snowy


def frost(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Lays ridges of ice over the picture."""
    left, laid = FROST[severity - 1]
    texture = plasma((picture.shape[1], picture.shape[2]), rng, 0.6)
    ridges = 1 - np.abs(2 * texture - 1)
    crystals = ndimage.maximum_filter(ridges, size=max(2, side_of(picture) // 16))
    frozen: Picture = left * picture + laid * crystals
    return frozen


def fog(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Adds a bright, slowly varying veil and loses contrast by as much."""
    thickness, roughness = FOG[severity - 1]
    veil = thickness * plasma((picture.shape[1], picture.shape[2]), rng, roughness)
    brightest = max(float(picture.max()), 1e-9)
    return (picture + veil) * brightest / (brightest + thickness)


def brightness(picture: Picture, severity: int, _rng: np.random.Generator) -> Picture:
    """Raises the value of every pixel (of HSV: hue and saturation stay)."""
    value = picture.max(axis=0, keepdims=True)
    raised = np.minimum(value + BRIGHTNESS[severity - 1], 1)
    bright: Picture = np.where(value > 0, picture * raised / np.maximum(value, 1e-9), raised)
    return bright
