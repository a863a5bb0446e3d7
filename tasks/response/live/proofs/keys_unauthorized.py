"""Tries the keys that the attacker holds: each is answered 401, whatever the account may do."""

import numpy as np

from tasks.response.live.battle import Battle, Proof

UNAUTHORIZED = 401


def prove(battle: Battle) -> Proof:
    """Asks once with every key."""
    question = np.ascontiguousarray(battle.ground.people.thieves.images[:1])
    statuses = {line.account: line.ask(question).status for line in battle.lines}
    told = ", ".join(f"{account}: {status}" for account, status in sorted(statuses.items()))
    held = bool(statuses) and set(statuses.values()) == {UNAUTHORIZED}
    return Proof(held=held, said=told or "there is no key to try")
