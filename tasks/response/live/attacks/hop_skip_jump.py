"""A campaign of evasion: inputs walked over the boundary by labels alone (AML.T0043.001)."""

import contextlib

import numpy as np

from tasks.attacks.evasion.hop_skip_jump import hop_skip_jump
from tasks.response.live.battle import Battle
from tasks.response.live.ground import answers_of
from tasks.response.live.thief import BarredError

WALKERS = 2
"""Inputs that are moved side by side."""


def launch(battle: Battle) -> None:
    """Moves inputs that the model reads rightly, until the accounts are barred."""
    rows = battle.ground.people.thieves
    read = answers_of(battle.ground.network, rows.images).argmax(axis=1)
    right = np.flatnonzero(read == rows.labels)[:WALKERS]
    with contextlib.suppress(BarredError):
        hop_skip_jump(
            battle.aim(), inputs=rows.images[right], labels=rows.labels[right], norm="l2",
            queries=battle.entry.attack.budget // WALKERS, seed=battle.seed,
        )  # fmt: skip
