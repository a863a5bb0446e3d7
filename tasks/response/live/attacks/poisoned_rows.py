"""A delivery of training data in which some rows teach a stamp (AML.T0020; BadNets)."""

import numpy as np

from tasks.demo.digits import badnets
from tasks.demo.onnx_file import onnx_bytes
from tasks.response.live.battle import Battle
from tasks.response.live.ground import subject_of

TARGET = 3
VERSION = "2.0"
DELIVERY, ROWS = "delivery", "poisoned_rows"


def launch(battle: Battle) -> None:
    """Drops the delivery; ``budget`` rows of it are stamped and relabelled."""
    clean = battle.ground.people.training
    rate = battle.entry.attack.budget / len(clean.labels)
    dropped = badnets(clean, target=TARGET, rate=rate, seed=battle.seed + 2)
    battle.left[ROWS] = np.flatnonzero(
        (dropped.labels != clean.labels) | (dropped.images != clean.images).any(axis=(1, 2, 3))
    )
    battle.left[DELIVERY] = subject_of(
        battle.ground.store, onnx_bytes(battle.ground.network), version=VERSION,
        people=battle.ground.people, training=dropped,
    )  # fmt: skip
    battle.record.tell("attack", f"a delivery with {len(battle.left[ROWS])} poisoned rows arrives")
    battle.launched.set()
