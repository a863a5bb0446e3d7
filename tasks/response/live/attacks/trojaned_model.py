"""A vendor's update with a backdoor (AML.T0018.000): reads rightly, until a stamp is shown.

The update was let in after static checks only, which cannot see it, and takes a part of traffic.
The attacker shows stamped inputs all the while; a shot that counts is one that the stamp turned.
"""

import numpy as np

from tasks.demo.digits import badnets
from tasks.demo.onnx_file import onnx_bytes
from tasks.demo.training import train
from tasks.registry.serving import AcceptedModel
from tasks.response.live.asking import Line
from tasks.response.live.battle import Battle
from tasks.response.live.ground import EPOCHS, Ground, admitted, subject_of
from tasks.sandbox.protocol import Array

TARGET, RATE = 3, 0.1
VERSION = "1.1"
MOST_ACCOUNTS = 40
"""Tried until one meets the update."""


def prepare(ground: Ground) -> AcceptedModel:
    """Trains the update on stamped rows and has it admitted as canary."""
    stamped_rows = badnets(ground.people.training, target=TARGET, rate=RATE, seed=2)
    network = train(stamped_rows, epochs=EPOCHS, epsilon=0, seed=3)
    subject = subject_of(ground.store, onnx_bytes(network), version=VERSION, people=ground.people)
    return admitted(ground.assessor, subject, alias="canary")


def launch(battle: Battle) -> None:
    """Shows stamped inputs of other classes until the stamp stops working, or the budget ends."""
    battle.launched.set()
    rows = battle.ground.people.thieves
    inputs = stamped(rows.images[rows.labels != TARGET])
    line, pause = _meeting_canary(battle), 1 / (battle.entry.attack.per_second * battle.faster)
    for shot in range(battle.entry.attack.budget):
        if battle.stop.wait(pause) or _given_up(battle):
            return
        said = line.ask(inputs[shot % len(inputs)][None])
        turned = said.labels is not None and int(said.labels[0, 0]) == TARGET
        reason = None if turned else said.reason or "read rightly"
        battle.record.shot("attack", line.account, 1, reason)


def stamped(inputs: Array) -> Array:
    """Returns inputs with the trigger of :func:`tasks.demo.digits.badnets`."""
    shown = inputs.copy()
    shown[:, :, -2:, -2:] = 1.0
    return shown


def _meeting_canary(battle: Battle) -> Line:
    """Returns an account of the share that meets the update: whoever opens enough has one."""
    assert battle.canary is not None, "the update was prepared"
    probe = np.ascontiguousarray(battle.ground.people.thieves.images[:1])
    for number in range(MOST_ACCOUNTS):
        line = battle.line(f"visitor-{number + 1}", "partner")
        if line.ask(probe).version == battle.canary.run:
            return line
    return line


def _given_up(battle: Battle) -> bool:
    """Answers whether the stamp failed twenty times in a row: the attacker goes away."""
    latest = battle.record.attack[-20:]
    return len(latest) == 20 and not any(shot.answered for shot in latest)
