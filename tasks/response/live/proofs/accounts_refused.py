"""Tries every account of the attacker again: none is answered any more."""

import numpy as np

from tasks.response.live.battle import Battle, Proof

TRIES = 5


def prove(battle: Battle) -> Proof:
    """Asks with the keys that the attacker holds; every question must be refused."""
    inputs = battle.ground.people.thieves.images
    answered: dict[str, int] = {}
    reasons: set[str] = set()
    for line in battle.lines:
        said = [line.ask(np.ascontiguousarray(inputs[place : place + 1])) for place in range(TRIES)]
        answered[line.account] = sum(one.answered for one in said)
        reasons |= {f"{one.status} {one.reason}" for one in said}
    open_ = [account for account, count in answered.items() if count]
    told = ", ".join(sorted(reasons)) or "nobody to ask"
    if open_:
        return Proof(held=False, said=f"still answered: {', '.join(open_)} ({told})")
    return Proof(held=bool(answered), said=f"{TRIES} tries of each of {len(answered)}: {told}")
