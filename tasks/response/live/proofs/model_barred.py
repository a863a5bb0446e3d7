"""Tries to serve and to promote the hostile model, and asks what the running gateway serves."""

import numpy as np

from tasks.domain.errors import ProofhouseError
from tasks.registry.registering import Why, promote
from tasks.registry.serving import UnsignedModelError, accepted_model
from tasks.response.live.battle import Battle, Proof

TRIES = 12


def prove(battle: Battle) -> Proof:
    """It must not be loaded, not be promoted, and no account may meet it."""
    hostile, ground = battle.canary, battle.ground
    if hostile is None:
        return Proof(held=False, said="there is no hostile model to try")
    told: list[str] = []
    held = True
    try:
        accepted_model(hostile.asset, ground.place)
        held = False
        told.append("it is still loaded")
    except UnsignedModelError as refusal:
        told.append(f"loading: {refusal.message}")
    try:
        promote(hostile.asset, "champion", ground.place, Why("a proof", by="proofhouse drill"))
        held = False
        told.append("it was promoted to champion")
    except ProofhouseError:
        told.append("promotion is refused")
    met = _met(battle, hostile.run)
    told.append(f"{met} of {TRIES} accounts meet it")
    return Proof(held=held and not met, said="; ".join(told)[:1000])


def _met(battle: Battle, run: str) -> int:
    question = np.ascontiguousarray(battle.ground.people.thieves.images[:1])
    return sum(line.ask(question).version == run for line in battle.new_lines("newcomer", TRIES))
