"""Chooses among completions of a record by labels alone. Runs only in the child.

The completion whose noisy copies keep the known label most often is the one that the model knows
best (the label-only signal of Choquette-Choo et al. 2021, arXiv 2007.14321, turned around).
"""

import numpy as np

from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Images, Target, predicted

SCALES = (0.0, 0.05, 0.1, 0.2)


def label_completion(
    target: Target, *, candidates: Images, labels: Array, rounds: int, seed: int
) -> Reply:
    """Returns how firmly the model gives each candidate the known label.

    Args:
        target: The opened model; only its labels are looked at.
        candidates: Completions of each record (n, kinds, …), raw.
        labels: The known labels (n,).
        rounds: Noisy copies of each. Cost: n * kinds * rounds queries.
        seed: Seeds the noise, the same for all.

    Returns:
        ``arrays["firmness"]`` (n, kinds) float64; ``values["queries"]``, ``values["passes"]``.
    """
    before = target.meter.passes
    rng = np.random.default_rng(seed)
    low, high = target.bounds
    flat = candidates.reshape(-1, *candidates.shape[2:])
    wanted = np.repeat(labels, candidates.shape[1])
    kept = np.zeros(len(flat))
    for turn in range(rounds):
        scale = SCALES[turn % len(SCALES)] * (high - low)
        noise = rng.normal(0, scale, flat.shape[1:]) if scale else 0.0
        kept += predicted(target, np.clip(flat + noise, low, high).astype(np.float32)) == wanted
    return Reply(
        {"firmness": (kept / rounds).reshape(candidates.shape[:2])},
        {"passes": target.meter.passes - before, "queries": rounds * len(flat)},
    )
