"""A lower bound on epsilon from one training run with many canaries.

Each canary was put into the training data or left out by a fair coin; an auditor guessed some of
the coins from the finished model. Under (epsilon, delta) no auditor is right often.

Source: Steinke, Nasr and Jagielski 2023, arXiv 2305.08846, theorem 5.2.
"""

import numpy as np
from scipy import optimize, special, stats

HIGHEST = 60.0
"""Larger epsilons are all the same: no privacy."""


def one_run_p_value(
    correct: int, guesses: int, *, epsilon: float, delta: float, items: int
) -> float:
    """Returns the chance, at most, of so many right guesses under (epsilon, delta).

    Args:
        correct: Right guesses.
        guesses: Guesses made; the others were abstained from.
        epsilon: The hypothesis, 0 or more.
        delta: The hypothesis, 0 to 1.
        items: Canaries, guessed about or not.
    """
    chance = float(special.expit(epsilon))
    beyond = float(stats.binom.sf(correct - 1, guesses, chance))
    if delta == 0:
        return beyond
    reach = np.arange(1, items + 1)
    mass = stats.binom.sf(correct - 1 - reach, guesses, chance) - beyond
    return min(1.0, beyond + 2 * items * delta * float(np.max(mass / reach)))


def one_run_epsilon(
    correct: int, guesses: int, *, delta: float, items: int, alpha: float = 0.05
) -> float:
    """Returns the largest epsilon that so many right guesses refute at level ``alpha``, or 0.

    Raises:
        ValueError: The counts contradict each other.
    """
    if not 0 <= correct <= guesses <= items:
        raise ValueError(f"{correct} of {guesses} guesses about {items} canaries cannot be")

    def excess(epsilon: float) -> float:
        return one_run_p_value(correct, guesses, epsilon=epsilon, delta=delta, items=items) - alpha

    if guesses == 0 or excess(0.0) >= 0:
        return 0.0
    if excess(HIGHEST) < 0:
        return HIGHEST
    return float(optimize.brentq(excess, 0.0, HIGHEST, xtol=1e-6))


def one_run_ceiling(guesses: int, *, delta: float, alpha: float = 0.05) -> float:
    """Returns the bound of an auditor who is always right: nothing larger can be proven."""
    return one_run_epsilon(guesses, guesses, delta=delta, items=guesses, alpha=alpha)
