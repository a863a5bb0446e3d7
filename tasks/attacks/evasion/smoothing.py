"""Randomised smoothing: how the model votes when inputs are blurred by Gaussian noise.

Source: Cohen et al. 2019, arXiv 1902.02918, algorithm "predict". No attack: the votes are counted
by the caller, who turns a clear majority into a radius within which nothing can overturn it.
"""

import numpy as np

from tasks.attacks.evasion.keyed import generator_for
from tasks.attacks.evasion.linear_control import linear_target
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Target, predicted, product


def votes(
    target: Target, *, inputs: Images, sigma: float, draws: int, round_: int, seed: int = 0
) -> Reply:
    """Asks for the class of noisy copies of each input.

    Args:
        target: Victim; labels are enough.
        inputs: (n, …) float32, raw. Noisy copies may leave ``target.bounds``: the theorem is about
            the noise as it is, so nothing is cut off.
        sigma: Standard deviation of the noise, in raw units.
        draws: Noisy copies per input; each costs one query.
        round_: Number of this call: rounds draw apart from each other.
        seed: Equal seeds give equal votes, whatever else is in the batch.

    Returns:
        Array ``classes`` (n, draws) int64 in drawn order; values ``passes`` and ``queries``.
    """
    before = target.meter.forwards
    clean = np.ascontiguousarray(inputs, np.float32)
    shape = (draws, product(clean.shape[1:]))
    rows = np.zeros((len(clean), draws), np.int64)
    for row, item in enumerate(clean):
        drawn = generator_for(item, seed=seed, purpose=f"votes/{round_}").normal(size=shape)
        noisy = item.reshape(1, -1) + (sigma * drawn).astype(np.float32)
        rows[row] = predicted(target, noisy.reshape(draws, *clean.shape[1:]))
    asked = target.meter.forwards - before
    return Reply({"classes": rows}, {"passes": asked, "queries": asked})


def votes_control(_target: Target, *, points: int = 20, draws: int = 1000, seed: int = 0) -> Reply:
    """Votes of a linear reader of two classes, whose exact radii are known on paper.

    The opened target is left alone. Smoothing does not move a flat boundary, so the largest true
    radius is the distance to it.

    Returns:
        Arrays ``weights``, ``bias``, ``inputs``, ``labels`` and ``classes``; values ``sigma`` and
        ``passes``.
    """
    rng = np.random.default_rng([seed, 13])
    size = 12
    weights = np.zeros((2, size), np.float32)
    weights[1] = rng.normal(size=size)
    middle = rng.uniform(0.3, 0.7, (points, size))
    bias = np.array([0, -float(weights[1].sum()) / 2], np.float32)
    # Inputs at 0.3 to 1.8 standard deviations from the boundary, alternately on either side.
    sigma = 0.2
    length = float(np.linalg.norm(weights[1]))
    unit = weights[1] / length
    off = middle @ weights[1] + bias[1]
    reach = sigma * rng.uniform(0.3, 1.8, points) * np.where(np.arange(points) % 2, 1, -1)
    inputs = (middle - np.outer(off / length - reach, unit)).astype(np.float32)
    victim = linear_target(weights, bias)
    labels = predicted(victim, inputs)
    reply = votes(victim, inputs=inputs, sigma=sigma, draws=draws, round_=0, seed=seed)
    classes = reply.arrays["classes"]
    return Reply(
        {
            "weights": weights,
            "bias": bias,
            "inputs": inputs,
            "labels": labels,
            "classes": classes,
        },
        {"sigma": sigma, "passes": victim.meter.passes},
    )
