"""Digits with a BadNet's rows among them, for tests."""

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Array

PATCH_SIDE = 2


def poisoned(
    inputs: Array, labels: Array, *, part: float, target: int, seed: int = 0
) -> tuple[Array, Array, NDArray[np.intp]]:
    """Returns a copy with a white corner and the label ``target`` on a random part of the rows."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(np.flatnonzero(labels != target), round(part * len(labels)), replace=False)
    inputs, labels = inputs.copy(), labels.copy()
    inputs[chosen, :, -PATCH_SIDE:, -PATCH_SIDE:] = 1
    labels[chosen] = target
    return inputs, labels, chosen
