"""Knockoff: asks the target about ordinary inputs and trains a copy on its answers.

Source: Orekondy et al. 2019, arXiv 1812.02766. The pool is natural data, stretched by mixing pairs
(Zhang et al. 2018, arXiv 1710.09412) when the budget is larger than the pool.
"""

import numpy as np

from tasks.attacks.extraction.students import believed, studied
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Access, Images, Target

NOISE = 0.05  # of the input range, on mixed inputs


def knockoff(
    target: Target,
    *,
    pool: Images,
    held_out: Images,
    budgets: list[int],
    labels_only: bool = False,
    seed: int = 0,
) -> Reply:
    """Copies the target with each query budget; larger budgets ask all that smaller ones ask.

    Args:
        target: Victim; only its answers are used.
        pool: (m, …) inputs that the thief owns, unlabelled.
        held_out: (n, …) inputs on which the copies are compared; the thief never asks about them.
        budgets: Most inputs to ask about, one copy each.
        labels_only: Uses only the class that the target names.
        seed: Equal seeds give equal copies.

    Returns:
        Array ``students`` (budgets, n), the classes that the copies name; value ``queries``.
    """
    before = target.meter.forwards
    asked = queries(pool, max(budgets), target.bounds, seed=seed)
    hard = labels_only or target.access is Access.LABELS
    beliefs = believed(target.scores(asked), labels_only=hard)
    spent = target.meter.forwards - before
    students = [
        studied(asked[:budget], beliefs[:budget], held_out, bounds=target.bounds, seed=seed)
        for budget in budgets
    ]
    return Reply({"students": np.stack(students)}, {"passes": spent, "queries": spent})


def queries(pool: Images, budget: int, bounds: tuple[float, float], *, seed: int) -> Images:
    """Returns ``budget`` inputs: the pool in random order, then noisy mixtures of its pairs."""
    rng = np.random.default_rng([seed, 1812])
    order = rng.permutation(len(pool))
    natural = pool[order[:budget]]
    missing = budget - len(natural)
    if missing <= 0:
        return natural
    low, high = bounds
    left, right = (pool[rng.integers(0, len(pool), missing)] for _ in range(2))
    share = rng.uniform(0.5, 1, (missing, *(1,) * (pool.ndim - 1)))
    noise = rng.normal(0, NOISE * (high - low), left.shape)
    mixed = np.clip(share * left + (1 - share) * right + noise, low, high)
    return np.concatenate([natural, mixed.astype(np.float32)])
