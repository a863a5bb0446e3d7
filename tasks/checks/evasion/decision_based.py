"""How many inputs keep their class when an attacker sees labels and nothing else.

Sources: Chen and Gu 2020, arXiv 2006.12792 (RayS); Chen et al. 2020, arXiv 1904.02144
(HopSkipJump). This is what anybody with access to the service can do.
"""

import numpy as np

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
    about_escapes,
    distances,
    judged,
    population,
)
from tasks.checks.evasion.witnesses import kept_witnesses
from tasks.checks.lab import Lab
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.decision_based", 1
DEEP = 0.5
"""Inputs of the linear control whose closed form is this share of the radius must fall."""
SLACK = 1e-5


def measure(lab: Lab) -> Measurement:
    """Runs RayS, then HopSkipJump on what still stands; counts every label."""
    people = population(lab, points=lab.count("points"), access="labels")
    epsilon = lab.number("epsilon") * people.span
    standing, witnesses = people.correct.copy(), people.inputs.copy()
    escaped, asked, fell = 0, 0, {}
    for name, settings in (("rays", {}), ("hop_skip_jump", {"norm": "linf"})):
        rows = np.flatnonzero(standing)
        if not len(rows):
            break
        reply = lab.run(
            f"attacks.evasion.{name}",
            {"inputs": people.inputs[rows], "labels": people.labels[rows]},
            queries=lab.count("queries"),
            epsilon=epsilon,
            seed=lab.seed,
            **settings,
        )
        asked += int(reply.values["queries"])
        result = judged(lab, people, rows, reply.arrays["candidates"])
        escaped += result.escaped
        near = _near(people, rows, result.moved, epsilon)
        fallen = rows[result.held & near]
        standing[fallen], witnesses[fallen] = False, result.moved[result.held & near]
        fell[f"fell_to_{name}"] = len(fallen)
    robust = binomial(int(standing.sum()), len(standing))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"{int(people.correct.sum())} of {len(standing)} inputs are read correctly, "
            f"{int(standing.sum())} also after {lab.count('queries')} questions per attack and "
            f"input, within {lab.number('epsilon'):.4g} of the input range."
        ),
        estimates={
            "robust_accuracy": robust,
            "clean_accuracy": binomial(int(people.correct.sum()), len(standing)),
        },
        controls=_controls(lab),
        alarms=tuple(about_answers(people.described) + about_escapes(escaped)),
        limits=tuple(str(note) for note in people.described.get("notes", ())),
        method="RayS, then HopSkipJump in L-infinity; labels only; witnesses are asked again.",
        facts={
            "points": len(standing),
            "correct": int(people.correct.sum()),
            "standing": int(standing.sum()),
            "labels_asked": asked,
            "epsilon_raw": epsilon,
            **fell,
        },
        artifacts=kept_witnesses(lab, people, people.correct & ~standing, witnesses),
        cost=lab.cost,
    )


def _near(people: Population, rows: Array, moved: Array, epsilon: float) -> Flags:
    near: Flags = distances(moved, people.inputs[rows], "linf") <= epsilon + SLACK * people.span
    return near


def _controls(lab: Lab) -> tuple[Control, ...]:
    """A linear model whose inputs' distances are known, attacked by labels alone."""
    reply = lab.run("attacks.evasion.labels_control", seed=lab.seed)
    epsilon, reach = float(reply.values["epsilon"]), closed_form(reply, "linf")
    broken = broken_within(reply, "candidates", epsilon, "linf")
    return (
        must_fall("linear model, well within reach", broken[reach < DEEP * epsilon]),
        must_stand("linear model, out of reach", broken[reach > epsilon * (1 + EDGE)]),
    )
