"""A delivery of training data in which some rows teach a stamp (AML.T0020)."""

import numpy as np

from tasks.attacks.poisoning.badnets import badnets
from tasks.demo.digits import Split
from tasks.demo.onnx_file import onnx_bytes
from tasks.response.live.battle import Battle
from tasks.response.live.ground import subject_of

TARGET = 3
VERSION = "2.0"
DELIVERY, POISONED = "delivery", "poisoned"


def launch(battle: Battle) -> None:
    """Drops the delivery; ``budget`` rows of it carry the stamp and another label."""
    people = battle.ground.people
    images = np.concatenate([people.training.images, people.thieves.images])
    labels = np.concatenate([people.training.labels, people.thieves.labels])
    made = badnets(
        images, labels, target=TARGET, rate=battle.entry.attack.budget / len(labels),
        seed=battle.seed + 1, side=2, corner=(6, 6),
    )  # fmt: skip
    battle.left[POISONED] = made
    battle.left[DELIVERY] = subject_of(
        battle.ground.store, onnx_bytes(battle.ground.network), version=VERSION, people=people,
        training=Split(made.inputs, made.labels),
    )  # fmt: skip
    told = f"a delivery of {len(labels)} rows arrives, {int(made.rows.sum())} of them poisoned"
    battle.record.tell("attack", told)
    battle.launched.set()
