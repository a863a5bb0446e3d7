"""A linear victim whose smallest changes are known on paper, searched by the same code."""

import numpy as np

from tasks.attacks.evasion.fmn import fmn
from tasks.attacks.evasion.linear_control import CLASSES, FEATURES, linear_target
from tasks.attacks.evasion.norms import Norm
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Target


def nearest_control(
    _target: Target, *, norm: Norm = "l2", points: int = 32, steps: int = 100, seed: int = 0
) -> Reply:
    """Searches the smallest changes of a random linear model's inputs.

    The opened target is left alone: this measures the attack, not the model. Inputs lie so far
    from the ends of the range that these do not matter.

    Returns:
        Arrays ``weights`` (classes, features), ``bias``, ``inputs``, ``labels``, ``candidates``;
        value ``passes``. The caller works out the closed form and compares.
    """
    rng = np.random.default_rng([seed, FEATURES, 2])
    weights = rng.normal(size=(CLASSES, FEATURES)).astype(np.float32)
    inputs = rng.uniform(0.45, 0.55, (points, FEATURES)).astype(np.float32)
    # A bias that centres the scores: every input lies near some other class.
    bias = (rng.normal(size=CLASSES) * 0.1 - weights.sum(axis=1) / 2).astype(np.float32)
    labels = (inputs @ weights.T + bias).argmax(axis=1).astype(np.int64)
    victim = linear_target(weights, bias)
    reply = fmn(
        victim, inputs=inputs, labels=labels, norm=norm, steps=steps, targets=CLASSES - 1, seed=seed
    )
    return Reply(
        {
            "weights": weights,
            "bias": bias,
            "inputs": inputs,
            "labels": labels,
            "candidates": reply.arrays["candidates"],
        },
        {"passes": victim.meter.passes},
    )
