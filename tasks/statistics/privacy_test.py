"""Puts a claimed epsilon to a sequential test: look after every run, stop when it is refuted.

A run trains with a canary or without, by a fair coin, and the auditor flags it or not. Under
(epsilon, delta), "flagged and with it" minus exp(epsilon) times "flagged and without it" has a mean
of delta / 2 at most; a gambler bets that it has more (see ``betting``).

Source: the game of González et al. 2025, arXiv 2509.07055; the bets are those of
Waudby-Smith and Ramdas 2024, arXiv 2010.09686.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.statistics.betting import BETS
from tasks.statistics.intervals import Floats

GRID = np.concatenate([np.arange(0, 2, 0.1), np.arange(2, 10.01, 0.25)])
"""The epsilons that a lower bound is looked for among."""
Mask = NDArray[np.bool_]


class Refuted(NamedTuple):
    """Whether a claim fell, after how many runs (all of them when it stands)."""

    claim: bool
    runs: int


def refutes(inside: Mask, flagged: Mask, *, epsilon: float, delta: float, alpha: float) -> Refuted:
    """Answers whether the runs refute (epsilon, delta), at whichever run that became clear.

    The chance of ever refuting a true claim is ``alpha`` at most, whenever one stops.

    Args:
        inside: Which runs trained with the canary, by a fair coin (runs,).
        flagged: Which runs the auditor says had it (runs,); the rule was fixed before.
        epsilon: Claimed.
        delta: Claimed.
        alpha: Chance of a wrong accusation.
    """
    wealth = _wealth(inside, flagged, epsilon=epsilon, delta=delta)
    won = np.flatnonzero(wealth >= np.log(1 / alpha))
    return Refuted(True, int(won[0]) + 1) if len(won) else Refuted(False, len(inside))


def epsilon_bound(inside: Mask, flagged: Mask, *, delta: float, alpha: float) -> float:
    """Returns an epsilon that is refuted together with every smaller one of the grid, or 0.

    The chance that it lies above the true epsilon is ``alpha`` at most: then the smallest epsilon
    of the grid that holds was refuted, which is one test.
    """
    bound = 0.0
    for epsilon in GRID:
        if not refutes(inside, flagged, epsilon=float(epsilon), delta=delta, alpha=alpha).claim:
            break
        bound = float(epsilon)
    return bound


def epsilon_ceiling(runs: int, *, delta: float, alpha: float) -> float:
    """Returns the bound that an auditor who is always right would reach with so many runs."""
    inside = np.arange(runs) % 2 == 0
    return epsilon_bound(inside, inside, delta=delta, alpha=alpha)


def _wealth(inside: Mask, flagged: Mask, *, epsilon: float, delta: float) -> Floats:
    """Returns the logarithm of the gambler's wealth after each run (runs,)."""
    loss = float(np.exp(epsilon))
    gained = np.where(flagged & inside, 1.0, np.where(flagged, -loss, 0.0)) - delta / 2
    # A bet of 1 loses everything when the canary is flagged where it was not.
    shares = BETS / (loss + delta / 2)
    logs = np.cumsum(np.log1p(np.outer(shares, gained)), axis=1)
    wealth: Floats = np.logaddexp.reduce(logs, axis=0) - np.log(len(BETS))
    return wealth
