"""Inputs of no distribution that the model was made for: where a copy may differ unseen.

A copy that agrees on test data alone may be a good student of the task; one that agrees here as
well has learnt the model.
"""

import numpy as np

from tasks.sandbox.protocol import Array


def strangers(inputs: Array, bounds: tuple[float, float], *, seed: int) -> Array:
    """Returns as many inputs as given, a third each: inverted, put together of two, and noise.

    Args:
        inputs: (n, …) natural raw inputs.
        bounds: Range of raw inputs.
        seed: Equal seeds give equal strangers.
    """
    rng = np.random.default_rng([seed, 1909])
    low, high = bounds
    inverted = low + high - inputs[0::3]
    left, right = inputs[1::3], inputs[rng.integers(0, len(inputs), len(inputs[1::3]))]
    halves = np.where(_first_half(left.shape[1:]), left, right)
    noise = rng.uniform(low, high, inputs[2::3].shape)
    return np.concatenate([inverted, halves, noise]).astype(np.float32)


def _first_half(shape: tuple[int, ...]) -> Array:
    return np.arange(shape[-1]) < shape[-1] // 2
