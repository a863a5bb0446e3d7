"""Confidences of a made-up world: each item has a level of its own and gains when learnt."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.signals import halves
from tasks.statistics.intervals import Floats


class World(NamedTuple):
    """A target and shadow models, and who knows what."""

    inside: NDArray[np.bool_]
    target: Floats
    members: NDArray[np.bool_]
    shadows: Floats


def world(models: int, items: int = 1500, *, gain: float = 1.5, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    level, spread = rng.normal(0, 4, items), rng.gamma(4, 0.25, items)
    inside = rng.permutation(items) < items // 2
    members = halves(models, items, seed=seed)

    def answers(learnt: NDArray[np.bool_]) -> Floats:
        drawn: Floats = level + gain * learnt + spread * rng.normal(size=learnt.shape)
        return drawn

    return World(inside, answers(inside), members, answers(members))
