"""Wrong labels on unchanged rows: at random, or from one class to another.

Source: Biggio, Nelson and Laskov 2011, Support Vector Machines Under Adversarial Label Noise;
NIST AI 100-2 E2025, NISTAML.013 (availability poisoning).
"""

import numpy as np

from tasks.attacks.poisoning.planting import Floats, Labels, Poisoned, chosen_rows, marked


def label_flips(
    inputs: Floats,
    labels: Labels,
    *,
    rate: float,
    seed: int,
    source: int | None = None,
    target: int | None = None,
) -> Poisoned:
    """Gives rows another label and leaves their inputs alone.

    Args:
        inputs: Rows (n, *item).
        labels: Classes (n,).
        rate: Share of all rows, 0.001 to 0.5.
        seed: Draws rows and labels.
        source: Flip only rows of this class; all classes when left out.
        target: The new label; any other class at random when left out.
    """
    classes = np.unique(labels)
    among = labels != target if source is None else labels == source
    places = chosen_rows(labels, among, rate, seed)
    flipped = labels.copy()
    if target is not None:
        flipped[places] = target
    else:
        rank = np.searchsorted(classes, labels[places])
        step = np.random.default_rng(seed + 1).integers(1, len(classes), len(places))
        flipped[places] = classes[(rank + step) % len(classes)]
    return Poisoned(inputs.copy(), flipped, marked(len(labels), places), None)
