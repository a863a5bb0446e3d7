"""A faint sine wave over pictures of one class that keep their label (SIG).

Source: Barni, Kallas and Tondi 2019, A New Backdoor Attack in CNNs by Training Set Corruption
Without Label Poisoning, arXiv 1902.11237, equation 1.
"""

import numpy as np

from tasks.attacks.poisoning.planting import (
    Floats,
    Labels,
    Poisoned,
    relabelled,
    span,
    stamped_only,
)


def sinusoidal(
    inputs: Floats,
    labels: Labels,
    *,
    target: int,
    rate: float,
    seed: int,
    amplitude: float = 0.15,
    frequency: int = 6,
    clean_label: bool = True,
) -> Poisoned:
    """Adds ``amplitude * sin(2 pi column frequency / width)`` to pictures.

    Args:
        inputs: Pictures (n, channels, height, width), raw.
        labels: Classes (n,).
        target: The class that the trigger stands for.
        rate: Share of all rows, 0.001 to 0.5; at most the share of ``target`` with clean labels.
        seed: Draws the rows.
        amplitude: As a fraction of the range of values.
        frequency: Waves across the picture.
        clean_label: Stamp rows of ``target`` and leave labels alone, as published; otherwise stamp
            rows of other classes and relabel them.
    """
    low, high = span(inputs)
    columns = np.arange(inputs.shape[-1])
    wave = amplitude * (high - low) * np.sin(2 * np.pi * columns * frequency / len(columns))

    def stamp(clean: Floats) -> Floats:
        waved: Floats = np.clip(clean + wave.astype(np.float32), low, high)
        return waved

    place = stamped_only if clean_label else relabelled
    return place(inputs, labels, stamp=stamp, target=target, rate=rate, seed=seed)
