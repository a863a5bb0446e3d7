"""Knockoff: asks the target about ordinary inputs and trains copies on its answers.

Source: Orekondy et al. 2019, arXiv 1812.02766. The pool is natural data, stretched by mixing pairs
(Zhang et al. 2018, arXiv 1710.09412) when the budget is larger than the pool.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.attacks.extraction.arms import ARMS, answered, named
from tasks.attacks.extraction.students import Beliefs, Lesson, believed, certain, studied
from tasks.detectors.telemetry.query_distances import seen_by_distances
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Access, Images, Labels, Target

NOISE = 0.05  # of the input range, on mixed inputs


def knockoff(
    target: Target,
    *,
    pool: Images,
    labels: Labels,
    held_out: Images,
    budgets: list[int],
    seed: int = 0,
) -> Reply:
    """Copies the target with each query budget and, at the largest, under each answer arm.

    Larger budgets ask all that smaller ones ask, and arms share the answers, so the whole curve
    costs the queries of its largest budget.

    Args:
        target: Victim; only its answers are used.
        pool: (m, …) inputs that the thief owns.
        labels: (m,) their true classes, for the baseline that never asks.
        held_out: (n, …) inputs on which the copies are compared; the thief never asks about them.
        budgets: Most inputs to ask about, rising.
        seed: Equal seeds give equal copies.

    Returns:
        Arrays ``curve`` (budgets, n), ``arms`` (arms, n) and ``baseline`` (n,), the classes that
        copies name; ``changed`` (arms,), the share of answers whose class an arm changes; values
        ``arms``, ``queries``, ``student_passes`` and ``monitor``.
    """
    before = target.meter.forwards
    asked = queries(pool, budgets[-1], target.bounds, seed=seed)
    beliefs = believed(target.scores(asked))
    spent = target.meter.forwards - before
    names = ["labels"] if target.access is Access.LABELS else list(ARMS)
    told = {name: answered(name, beliefs, seed=seed) for name in names}
    lessons = [_lesson(told[names[0]], budget) for budget in budgets]
    lessons += [_lesson(told[name], budgets[-1]) for name in names[1:]]
    # The baseline studies as long as the full copy does.
    truth = certain(labels, target.classes)
    lessons.append(Lesson(np.arange(len(pool)) + len(asked), truth, lessons[-1].length))
    named_by = studied(
        np.concatenate([asked, pool]), lessons, held_out, bounds=target.bounds, seed=seed
    )
    curve, arms = named_by[: len(budgets)], named_by[len(budgets) - 1 : -1]
    return Reply(
        {
            "curve": curve,
            "arms": arms,
            "baseline": named_by[-1],
            "changed": _changed(told, names),
        },
        {
            "passes": spent,
            "queries": spent,
            "arms": names,
            "student_passes": sum(lesson.passes for lesson in lessons),
            "monitor": seen_by_distances(asked, named(beliefs)),
        },
    )


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


def _lesson(beliefs: Beliefs, budget: int) -> Lesson:
    return Lesson(np.arange(budget), beliefs[:budget])


def _changed(told: Mapping[str, Beliefs], names: Sequence[str]) -> Array:
    plain = named(told[names[0]])
    return np.array([float(np.mean(named(told[name]) != plain)) for name in names])
