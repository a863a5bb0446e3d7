"""How many inputs keep their class under attacks of other toolboxes, measured by our referee.

An operator names any attack of ART, Foolbox, CleverHans or Torchattacks and its settings. Budget,
range, success and passes are measured here, as for our own attacks.
"""

import json
from typing import Any

import numpy as np

from tasks.checks.evasion.cascade import SLACK
from tasks.checks.evasion.controls import (
    EDGE,
    broken_within,
    closed_form,
    must_fall,
    must_stand,
)
from tasks.checks.evasion.doubts import about_answers
from tasks.checks.evasion.referee import (
    Flags,
    Population,
    distances,
    judged,
    population,
)
from tasks.checks.evasion.witnesses import kept_witnesses
from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.measurement import Control, Measurement, Status
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.provider", 1
DEEP = 0.4
"""Points of the control whose closed form is this share of the radius must fall to any attack."""


def measure(lab: Lab) -> Measurement:
    """Runs the named attacks one after another, each on what still stands."""
    people = population(lab, points=lab.count("points"), access="labels")
    trial = _Trial(lab, people)
    names = [name.strip() for name in lab.text("attacks").split(",")]
    versions = {name: trial.attack(name) for name in names}
    fallen: Flags = people.correct & ~trial.standing
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"{int(people.correct.sum())} of {len(people.labels)} inputs are read correctly, "
            f"{int(trial.standing.sum())} after {', '.join(names)} within "
            f"{lab.number('epsilon'):.4g} of the input range ({trial.norm})."
        ),
        estimates={
            "robust_accuracy": binomial(int(trial.standing.sum()), len(people.labels)),
            "clean_accuracy": binomial(int(people.correct.sum()), len(people.labels)),
        },
        controls=tuple(control for name in names for control in _controls(lab, name, trial.norm)),
        alarms=tuple(about_answers(people.described)),
        # A foreign attack may well return inputs beyond the budget: told, and no reason for doubt.
        limits=(*(str(note) for note in people.described.get("notes", ())), *_told(trial.beyond)),
        method=(
            "Attacks of other toolboxes, run on the target in the sandbox; worst case per input; "
            "budget, range and success measured again outside."
        ),
        facts={
            "points": len(people.labels),
            "correct": int(people.correct.sum()),
            "standing": int(trial.standing.sum()),
            "epsilon_raw": trial.epsilon,
            "norm": trial.norm,
            "left_range": trial.escaped,
            **{f"version_{name}": version for name, version in versions.items()},
            **{f"fell_to_{name}": fell for name, fell in trial.fell.items()},
            **{f"passes_{name}": passes for name, passes in trial.passes.items()},
        },
        artifacts=kept_witnesses(lab, people, fallen, trial.witnesses),
        cost=lab.cost,
    )


class _Trial:
    def __init__(self, lab: Lab, people: Population) -> None:
        self.lab, self.people = lab, people
        self.norm = lab.text("norm")
        self.epsilon = lab.number("epsilon") * people.span
        self.standing, self.witnesses = people.correct.copy(), people.inputs.copy()
        self.escaped = self.beyond = 0
        self.fell: dict[str, int] = {}
        self.passes: dict[str, int] = {}

    def attack(self, name: str) -> str:
        """Runs one attack on what stands; returns the version of its toolbox."""
        rows = np.flatnonzero(self.standing)
        reply = self.lab.run(
            "attacks.providers.provided",
            {"inputs": self.people.inputs[rows], "labels": self.people.labels[rows]},
            attack=name,
            settings=settings_of(self.lab, name),
            epsilon=self.epsilon,
            seed=self.lab.seed,
        )
        for refusal in ("missing", "refused"):
            if refusal in reply.values:
                raise NotAvailable(f"{name}: {str(reply.values[refusal])[:500]}")
        result = judged(self.lab, self.people, rows, reply.arrays["candidates"])
        length = distances(result.moved, self.people.inputs[rows], self.norm)
        near = length <= self.epsilon + SLACK * self.people.span
        self.escaped += result.escaped
        self.beyond += int((result.held & ~near).sum())
        fallen = rows[result.held & near]
        self.standing[fallen] = False
        self.witnesses[fallen] = result.moved[result.held & near]
        self.fell[name], self.passes[name] = len(fallen), int(reply.values["passes"])
        return str(reply.values.get("version", ""))


def settings_of(lab: Lab, name: str) -> dict[str, Any]:
    """Returns the settings that the operator chose for one attack.

    Raises:
        NotAvailable: The settings are no JSON object of objects of plain values.
    """
    try:
        document = json.loads(lab.text("settings"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise NotAvailable(f"settings are no JSON ({error})") from error
    chosen = document.get(name, {}) if isinstance(document, dict) else None
    plain = (bool, int, float, str, type(None))
    if not isinstance(chosen, dict) or not all(isinstance(v, plain) for v in chosen.values()):
        raise NotAvailable(
            'settings must look like {"art:HopSkipJump": {"max_iter": 10}}, with plain values'
        )
    return chosen


def _told(beyond: int) -> list[str]:
    if not beyond:
        return []
    return [f"{beyond} inputs got another class beyond the budget; these do not count."]


def _controls(lab: Lab, name: str, norm: str) -> list[Control]:
    """The same attack on a linear reader whose distances are known."""
    reply = lab.run(
        "attacks.providers.provided.provided_control",
        attack=name,
        settings=settings_of(lab, name),
        norm=norm,
        seed=lab.seed,
    )
    epsilon, reach = float(reply.values["epsilon"]), closed_form(reply, norm)
    broken = np.zeros(len(reach), dtype=bool)
    if reply.arrays["candidates"].shape == reply.arrays["inputs"].shape:
        broken = broken_within(reply, "candidates", epsilon, norm)
    return [
        must_fall(f"{name}: linear model, well within reach", broken[reach < DEEP * epsilon]),
        must_stand(f"{name}: linear model, out of reach", broken[reach > epsilon * (1 + EDGE)]),
    ]
