"""Shows the stamp to the running gateway once more: it turns few inputs, as any corner would."""

import numpy as np

from tasks.response.live.attacks.trojaned_model import TARGET, stamped
from tasks.response.live.battle import Battle, Proof

TRIES, ACCOUNTS = 40, 10
TOLERATED = 0.25
"""Share of stamped inputs of other classes that an honest model may read as the target."""


def prove(battle: Battle) -> Proof:
    """Asks about stamped inputs of other classes from several accounts."""
    rows = battle.ground.people.held
    inputs = stamped(battle.ground.people, rows.images[rows.labels != TARGET])[:TRIES]
    lines = battle.new_lines("tester", ACCOUNTS)
    said = [
        lines[place % ACCOUNTS].ask(np.ascontiguousarray(inputs[place : place + 1]))
        for place in range(len(inputs))
    ]
    turned = sum(one.labels is not None and int(one.labels[0, 0]) == TARGET for one in said)
    told = f"{turned} of {len(inputs)} stamped inputs are read as {TARGET}"
    return Proof(held=turned <= TOLERATED * len(inputs), said=told)
