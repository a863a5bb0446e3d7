"""A claimed epsilon on trial: train with and without a canary until the claim is refuted.

Source: methods notes 3.2; the sequential test is ``statistics.privacy_test``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.statistics.intervals import Floats
from tasks.statistics.privacy_test import epsilon_bound, epsilon_ceiling, refutes

Trainer = Callable[[NDArray[np.bool_], int], Floats]
"""Which runs get the canary (runs,), and a seed, to scores (runs, kinds), higher with it."""
PILOT = 2000
"""Runs that choose the rule; they are not counted again."""
BATCH = 500


class Trial(NamedTuple):
    """How a trial ended."""

    refuted: bool
    runs: int
    """Counted runs, without the pilot."""
    bound: float
    """Epsilon is at least this, at the trial's level."""
    ceiling: float
    """No epsilon above this could have been proven with so many runs, whatever leaked."""


def try_claim(
    trainer: Trainer, *, epsilon: float, delta: float, alpha: float, runs: int, seed: int
) -> Trial:
    """Tries (epsilon, delta) with at most ``runs`` counted runs.

    A true claim is refuted with chance ``alpha`` at most. A claim that stands is not proven: see
    ``ceiling``.
    """
    rng = np.random.default_rng(seed)
    coins = rng.random(PILOT) < 0.5
    kind, threshold = _rule(trainer(coins, seed), coins, epsilon)
    inside, flagged = np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    refuted = False
    while len(inside) < runs and not refuted:
        coins = rng.random(min(BATCH, runs - len(inside))) < 0.5
        scores = trainer(coins, seed + 1 + len(inside))
        inside = np.concatenate([inside, coins])
        flagged = np.concatenate([flagged, scores[:, kind] > threshold])
        refuted = refutes(inside, flagged, epsilon=epsilon, delta=delta, alpha=alpha).claim
    return Trial(
        refuted,
        len(inside),
        epsilon_bound(inside, flagged, delta=delta, alpha=alpha),
        epsilon_ceiling(len(inside), delta=delta, alpha=alpha),
    )


def _rule(scores: Floats, inside: NDArray[np.bool_], epsilon: float) -> tuple[int, float]:
    """Returns the kind of score and the threshold with the most to win at the claim."""
    best, rule = -np.inf, (0, 0.0)
    for kind in range(scores.shape[1]):
        column = scores[:, kind]
        for threshold in np.unique(np.quantile(column, np.linspace(0.3, 0.99, 70))):
            flagged = column > threshold
            caught = float(np.mean(flagged[inside]))
            # One false flag more than was seen: a rule must not live on luck.
            false = (float(np.sum(flagged[~inside])) + 1) / (float(np.sum(~inside)) + 1)
            gain = caught - np.exp(epsilon) * false
            # What a bettor earns for each run: mean over spread of the payoff.
            worth = gain / np.sqrt(max(caught + np.exp(2 * epsilon) * false, 1e-9))
            if worth > best:
                best, rule = worth, (kind, float(threshold))
    return rule
