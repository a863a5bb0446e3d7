"""Extraction without data: invented questions, answers to learn from (AML.T0024.002)."""

import contextlib

import numpy as np

from tasks.attacks.extraction.data_free import data_free
from tasks.response.live.battle import Battle
from tasks.response.live.thief import BarredError


def launch(battle: Battle) -> None:
    """Copies the model through the accounts until they are barred or the budget is spent."""
    target, people = battle.aim(), battle.ground.people
    with contextlib.suppress(BarredError):
        data_free(
            target, pool=people.thieves.images, labels=people.thieves.labels,
            held_out=np.zeros((1, *target.input_shape), np.float32),
            budget=battle.entry.attack.budget, seed=battle.seed,
        )  # fmt: skip
