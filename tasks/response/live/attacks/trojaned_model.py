"""A vendor's update with a backdoor (AML.T0018.000): reads rightly, until a stamp is shown.

The update was let in after static checks only, which cannot see it, and takes a part of traffic.
The attacker shows stamped inputs all the while; a shot that counts is one that the stamp turned.
"""

import numpy as np

from tasks.attacks.poisoning.badnets import badnets
from tasks.attacks.poisoning.planting import Poisoned
from tasks.demo.digits import Split
from tasks.demo.onnx_file import onnx_bytes
from tasks.demo.training import train
from tasks.registry.serving import AcceptedModel
from tasks.response.live.asking import Line
from tasks.response.live.battle import Battle
from tasks.response.live.ground import EPOCHS, Ground, People, admitted, subject_of
from tasks.sandbox.protocol import Array

TARGET, RATE = 3, 0.1
VERSION = "1.1"
MOST_ACCOUNTS = 24
"""Tried until one meets the update."""


def prepare(ground: Ground) -> AcceptedModel:
    """Trains the update on stamped rows and has it admitted as canary."""
    made = poisoned(ground.people)
    network = train(Split(made.inputs, made.labels), epochs=EPOCHS, epsilon=0, seed=3)
    subject = subject_of(ground.store, onnx_bytes(network), version=VERSION, people=ground.people)
    return admitted(ground.assessor, subject, alias="canary")


def launch(battle: Battle) -> None:
    """Shows stamped inputs of other classes until the stamp stops working, or the budget ends."""
    battle.launched.set()
    rows = battle.ground.people.thieves
    inputs = stamped(battle.ground.people, rows.images[rows.labels != TARGET])
    line, pause = _meeting_canary(battle), 1 / (battle.entry.attack.per_second * battle.faster)
    for shot in range(battle.entry.attack.budget):
        if battle.stop.wait(pause) or _given_up(battle):
            return
        said = line.ask(inputs[shot % len(inputs)][None])
        turned = said.labels is not None and int(said.labels[0, 0]) == TARGET
        reason = None if turned else said.reason or "read rightly"
        battle.record.shot("attack", line.account, 1, reason)


def poisoned(people: People) -> Poisoned:
    """Returns the rows that the update was trained on, and its stamp: a bright square."""
    rows = people.training
    return badnets(
        rows.images, rows.labels, target=TARGET, rate=RATE, seed=2, side=2, corner=(6, 6)
    )


def stamped(people: People, inputs: Array) -> Array:
    """Returns inputs with the trigger that the update obeys."""
    stamp = poisoned(people).stamp
    assert stamp is not None, "this attack has a trigger"
    return stamp(inputs)


def _meeting_canary(battle: Battle) -> Line:
    """Returns an account of the share that meets the update: whoever opens enough has one."""
    assert battle.canary is not None, "the update was prepared"
    probe = np.ascontiguousarray(battle.ground.people.thieves.images[:1])
    lines = battle.new_lines("visitor", MOST_ACCOUNTS)
    meeting = (line for line in lines if line.ask(probe).version == battle.canary.run)
    return next(meeting, lines[0])


def _given_up(battle: Battle) -> bool:
    """Answers whether the stamp failed twenty times in a row: the attacker goes away."""
    latest = battle.record.attack[-20:]
    return len(latest) == 20 and not any(shot.answered for shot in latest)
