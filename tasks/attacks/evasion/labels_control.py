"""A linear victim attacked by labels alone, at a radius that most of its inputs cannot survive."""

import numpy as np

from tasks.attacks.evasion.linear_control import linear_distances, linear_target
from tasks.attacks.evasion.rays import rays
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target

CLASSES, FEATURES = 4, 16


def labels_control(
    _target: Target, *, points: int = 24, queries: int = 600, seed: int = 0
) -> Reply:
    """Runs RayS on a random linear model; the opened target is left alone.

    Returns:
        Arrays ``weights``, ``bias``, ``inputs``, ``labels`` and ``candidates``; values ``epsilon``
        and ``passes``. The caller works out the closed form and compares.
    """
    rng = np.random.default_rng([seed, FEATURES, 3])
    weights = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    inputs = rng.uniform(0.3, 0.7, (points, FEATURES)).astype(np.float32)
    bias = (-weights.sum(axis=1) / 2).astype(np.float32)
    labels = (inputs @ weights.T + bias).argmax(axis=1).astype(np.int64)
    epsilon = float(np.quantile(linear_distances(weights, bias, inputs, labels), 0.8))
    victim = linear_target(weights, bias)
    reply = rays(victim, inputs=inputs, labels=labels, queries=queries, epsilon=epsilon, seed=seed)
    return Reply(
        {
            "weights": weights,
            "bias": bias,
            "inputs": inputs,
            "labels": labels,
            "candidates": reply.arrays["candidates"],
        },
        {"epsilon": epsilon, "passes": victim.meter.passes},
    )
