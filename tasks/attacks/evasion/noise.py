"""Random changes of the whole budget: what they break, a search with gradients should have found.

Source: Athalye et al. 2018, arXiv 1802.00420, section 3.1 ("random sampling finds adversarial
examples" among the signs of masked gradients).
"""

import numpy as np

from tasks.attacks.evasion.keyed import generator_for
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target, predicted


def noise(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    epsilon: float,
    norm: str = "linf",
    draws: int = 50,
    seed: int = 0,
) -> Reply:
    """Tries random changes, half of them with every value at an end of the budget.

    Args:
        target: Victim; labels are enough.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        epsilon: Radius of the ball, in raw units.
        norm: ``linf`` or ``l2``.
        draws: Changes per point; each costs one query.
        seed: Equal seeds give equal outputs, whatever else is in the batch.

    Returns:
        Arrays ``candidates`` (like ``inputs``) and ``found`` (n,); values ``passes``, ``queries``.
    """
    before = target.meter.forwards
    clean = np.ascontiguousarray(inputs, np.float32)
    candidates, found = clean.copy(), np.zeros(len(labels), dtype=bool)
    rngs = [generator_for(item, seed=seed, purpose="noise") for item in clean]
    for draw in range(draws):
        rows = np.flatnonzero(~found)
        if not len(rows):
            break
        change = np.stack([_drawn(rngs[row], clean.shape[1:], draw, norm) for row in rows])
        moved = np.clip(clean[rows] + epsilon * change, *target.bounds).astype(np.float32)
        fallen = predicted(target, moved) != labels[rows]
        candidates[rows[fallen]], found[rows[fallen]] = moved[fallen], True
    asked = target.meter.forwards - before
    return Reply({"candidates": candidates, "found": found}, {"passes": asked, "queries": asked})


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], draw: int, norm: str) -> Images:
    """Returns a change of at most one."""
    if norm == "l2":
        normal = rng.normal(size=shape)
        return (normal / max(float(np.linalg.norm(normal)), 1e-12)).astype(np.float32)
    even = rng.uniform(-1, 1, shape)
    return (np.sign(even) if draw % 2 == 0 else even).astype(np.float32)
