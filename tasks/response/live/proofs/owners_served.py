"""The robbed customers work again: their new keys are answered."""

import numpy as np

from tasks.response.live.battle import Battle, Proof
from tasks.response.live.deeds.reissue_keys import OWNERS

TRIES = 5


def prove(battle: Battle) -> Proof:
    """Asks natural questions with each new key."""
    lines = battle.left.get(OWNERS, [])
    images = battle.ground.people.clients.images
    answered = [
        line.ask(np.ascontiguousarray(images[place : place + 1])).answered
        for line in lines
        for place in range(TRIES)
    ]
    said = f"{sum(answered)} of {len(answered)} questions of {len(lines)} owners were answered"
    return Proof(held=bool(answered) and all(answered), said=said)
