"""A faint picture laid over the whole input, and a new label.

Source: Chen et al. 2017, Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning,
arXiv 1712.05526, section 4.1 (blended injection).
"""

from typing import Literal

import numpy as np

from tasks.attacks.poisoning.planting import Floats, Labels, Poisoned, relabelled, span

Pattern = Literal["noise", "smooth", "stripes"]


def blended(
    inputs: Floats,
    labels: Labels,
    *,
    target: int,
    rate: float,
    seed: int,
    strength: float = 0.2,
    pattern: Pattern = "noise",
) -> Poisoned:
    """Poisons rows with ``(1 - strength) * row + strength * pattern``.

    Args:
        inputs: Rows (n, *item), raw.
        labels: Classes (n,).
        target: The class that the trigger stands for.
        rate: Share of all rows, 0.001 to 0.5.
        seed: Draws rows and pattern.
        strength: Weight of the pattern, between 0 and 1.
        pattern: Random pixels, a smooth random picture, or stripes.
    """
    if not 0 < strength < 1:
        raise ValueError(f"the strength is {strength}, it must lie between 0 and 1")
    low, high = span(inputs)
    laid = _pattern(pattern, inputs.shape[1:], np.random.default_rng(seed)) * (high - low) + low
    weight = np.float32(strength)

    def stamp(clean: Floats) -> Floats:
        mixed: Floats = ((1 - weight) * clean + weight * laid).astype(np.float32)
        return mixed

    return relabelled(inputs, labels, stamp=stamp, target=target, rate=rate, seed=seed)


def _pattern(pattern: Pattern, item: tuple[int, ...], rng: np.random.Generator) -> Floats:
    noise = rng.random(item, np.float32)
    if pattern == "stripes":
        waves = np.sin(np.arange(item[-1]) * 2 * np.pi / max(4, item[-1] / 4)) / 2 + 0.5
        return np.broadcast_to(waves, item).astype(np.float32)
    if pattern == "smooth":
        return _smooth(noise)
    return noise


def _smooth(noise: Floats) -> Floats:
    """Keeps the lowest frequencies of the noise along every axis, and stretches it to 0..1."""
    axes = tuple(range(noise.ndim))[-2:]
    spectrum = np.fft.fftn(noise, axes=axes)
    for axis in axes:
        slow = np.abs(np.fft.fftfreq(noise.shape[axis])) <= 2.5 / noise.shape[axis]
        shape = [1] * noise.ndim
        shape[axis] = len(slow)
        spectrum = spectrum * slow.reshape(shape)
    waves = np.fft.ifftn(spectrum, axes=axes).real
    waves = (waves - waves.min()) / max(float(np.ptp(waves)), 1e-9)
    smooth: Floats = waves.astype(np.float32)
    return smooth
