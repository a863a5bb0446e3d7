"""What cameras and files do: contrast, elastic distortion, pixelation, JPEG."""

import numpy as np
from scipy import fft, ndimage

from tasks.attacks.corruptions.picture import Picture, grid, sampled, side_of

CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
ELASTIC = (0.012, 0.018, 0.024, 0.030, 0.038)
"""Typical displacement, as a share of the side."""
ELASTIC_SCALE = 0.12
"""How far the displacement stays alike, as a share of the side."""
PIXELS = (0.95, 0.9, 0.85, 0.75, 0.65)
QUALITY = (80, 65, 58, 50, 40)
BLOCK = 8
# ITU T.81, table K.1: quantisation of luminance at quality 50.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=np.float64,
)


def contrast(picture: Picture, severity: int, _rng: np.random.Generator) -> Picture:
    """Moves every value towards the mean of its channel."""
    mean = picture.mean(axis=(1, 2), keepdims=True)
    flat: Picture = mean + (picture - mean) * CONTRAST[severity - 1]
    return flat


def elastic_transform(picture: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Pulls neighbourhoods in smoothly varying directions."""
    side = side_of(picture)
    rows, columns = grid(picture)
    field = rng.normal(size=(2, *rows.shape))
    field = ndimage.gaussian_filter(field, (0, ELASTIC_SCALE * side, ELASTIC_SCALE * side))
    field *= ELASTIC[severity - 1] * side / max(float(field.std()), 1e-9)
    return sampled(picture, rows + field[0], columns + field[1])


def pixelate(picture: Picture, severity: int, _rng: np.random.Generator) -> Picture:
    """Averages into fewer pixels and shows them at the old size."""
    height, width = picture.shape[1:]
    tall, wide = (max(1, int(length * PIXELS[severity - 1])) for length in (height, width))
    small = areas(height, tall) @ picture @ areas(width, wide).T
    up = [np.arange(length) * few // length for length, few in ((height, tall), (width, wide))]
    shown: Picture = small[:, up[0]][:, :, up[1]]
    return shown


def areas(length: int, few: int) -> Picture:
    """Returns (few, length): which share of each old pixel a new one averages."""
    edges = np.arange(few + 1) * length / few
    pixels = np.arange(length)
    low = np.maximum(edges[:-1, None], pixels)
    high = np.minimum(edges[1:, None], pixels + 1)
    shares: Picture = np.clip(high - low, 0, None) * few / length
    return shares


def jpeg_compression(picture: Picture, severity: int, _rng: np.random.Generator) -> Picture:
    """Rounds the cosine coefficients of 8 by 8 blocks, as a JPEG of falling quality does."""
    return jpeg(picture, QUALITY[severity - 1])


def jpeg(picture: Picture, quality: int) -> Picture:
    """Returns what is left of each channel at a quality of 1 to 100."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    table = np.clip(np.floor((LUMINANCE * scale + 50) / 100), 1, 255)
    channels, height, width = picture.shape
    tall, wide = (-length % BLOCK for length in (height, width))
    padded = np.pad(picture, ((0, 0), (0, tall), (0, wide)), mode="edge") * 255 - 128
    shape = (channels, padded.shape[1] // BLOCK, BLOCK, padded.shape[2] // BLOCK, BLOCK)
    blocks = padded.reshape(shape).transpose(0, 1, 3, 2, 4)
    kept = np.round(fft.dctn(blocks, axes=(3, 4), norm="ortho") / table) * table
    shown = fft.idctn(kept, axes=(3, 4), norm="ortho").transpose(0, 1, 3, 2, 4)
    whole: Picture = (shown.reshape(padded.shape) + 128) / 255
    return np.clip(whole[:, :height, :width], 0, 1)
