"""How well the model can be copied by asking it, beyond what its training data would give anyway.

Source: Orekondy et al. 2019, arXiv 1812.02766; fidelity after Jagielski et al. 2020, arXiv
1909.01838. The baseline is the same student taught by true labels on the same pool: only what the
copy agrees more than that came out of the model's answers.
"""

import json

import numpy as np
from scipy import special

from tasks.checks.evasion.cascade import answers, fitting
from tasks.checks.lab import Examples, Lab, NotApplicable, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array, Reply
from tasks.statistics.intervals import binomial

CHECK, VERSION = "extraction.fidelity", 1
FEWEST_ROWS = 40
SHARES = (0.1, 0.3, 1.0)
CONTROL_BUDGET = 500
COPIED = 0.1
"""A control counts as copied when the copy agrees this much more than the baseline."""


def measure(lab: Lab) -> Measurement:
    """Copies the model with growing budgets and compares each copy with the model."""
    model = lab.subject.spec.model
    if model.input is None or model.output is None or model.output.classes is None:
        raise NotApplicable("the bundle describes no classifier with a fixed input")
    rows = fitting(lab.sample("evaluation", lab.count("rows")), model.input, model.output.classes)
    if len(rows.labels) < FEWEST_ROWS:
        raise NotAvailable(f"{len(rows.labels)} rows are too few, {FEWEST_ROWS} are needed")
    described = lab.target()
    half = len(rows.labels) // 2
    pool, held_out = rows.inputs[:half], rows.inputs[half:]
    budgets = sorted({max(10, round(share * lab.count("queries"))) for share in SHARES})
    thief = {"pool": pool, "held_out": held_out}
    copies = lab.run("attacks.extraction.knockoff", thief, budgets=budgets, seed=lab.seed)
    by_label = lab.run(
        "attacks.extraction.knockoff", thief, budgets=budgets[-1:], labels_only=True, seed=lab.seed
    )
    baseline = lab.run(
        "attacks.extraction.students.taught_by_labels",
        {**thief, "labels": rows.labels[:half]},
        seed=lab.seed,
    )
    truth = answers(lab, held_out).argmax(axis=1)
    agreed = _agreements(copies, truth)
    alone = _agreement(baseline.arrays["student"], truth)
    labels_agreed = _agreements(by_label, truth)[-1]
    gained = paired_gain(agreed[-1], alone)
    fidelity = _rate(agreed[-1])
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"A copy trained on {budgets[-1]} answers agrees with the model on "
            f"{fidelity.value:.1%} of unseen inputs; trained on true labels instead, on "
            f"{float(alone.mean()):.1%}. The answers give a copy {gained.value:+.1%}."
        ),
        estimates={
            "gain": gained,
            "fidelity": fidelity,
            "fidelity_labels_only": _rate(labels_agreed),
            "baseline": _rate(alone),
        },
        controls=_controls(lab, rows, half),
        limits=tuple(str(note) for note in described.get("notes", ())),
        method=(
            "Knockoff with the first half of the evaluation data as pool, mixed pairs beyond it; "
            "agreement on the second half; paired difference to a student taught by true labels."
        ),
        facts={
            "access": str(described["access"]),
            "queries": budgets[-1],
            "pool": half,
            "held_out": len(truth),
        },
        artifacts=(_curve(lab, budgets, agreed, alone),),
        cost=lab.cost,
    )


def paired_gain(copy: Array, baseline: Array, confidence: float = 0.95) -> Estimate:
    """Returns how much more often the copy agrees than the baseline, on the same inputs.

    Source: Bonett and Price 2012, Journal of Educational and Behavioral Statistics 37, 479-488
    (adjusted Wald interval for a difference of paired proportions).

    Args:
        copy: Whether the copy agrees with the model, (n,) bool.
        baseline: Whether the baseline does, (n,) bool.
        confidence: Chance that the interval holds the true difference, about.
    """
    n = len(copy)
    more, less = int((copy & ~baseline).sum()), int((~copy & baseline).sum())
    value = (more - less) / n
    up, down = (more + 1) / (n + 2), (less + 1) / (n + 2)
    centre = up - down
    reach = float(special.ndtri((1 + confidence) / 2)) * float(
        np.sqrt((up + down - centre**2) / (n + 2))
    )
    return Estimate(
        value=value,
        low=max(-1.0, min(value, centre - reach)),
        high=min(1.0, max(value, centre + reach)),
        confidence=confidence,
        n=n,
    )


def _agreement(claimed: Array, truth: Array) -> Array:
    """Answers where a student names the model's class; a wrong shape agrees nowhere."""
    if claimed.shape != truth.shape:
        return np.zeros(truth.shape, dtype=bool)
    agreed: Array = claimed == truth
    return agreed


def _agreements(reply: Reply, truth: Array) -> list[Array]:
    return [_agreement(student, truth) for student in reply.arrays["students"]]


def _rate(agreed: Array) -> Estimate:
    return binomial(int(agreed.sum()), len(agreed))


def _controls(lab: Lab, rows: Examples, half: int) -> tuple[Control, ...]:
    reply = lab.run(
        "attacks.extraction.copy_controls",
        {"pool": rows.inputs[:half], "labels": rows.labels[:half], "held_out": rows.inputs[half:]},
        budget=min(CONTROL_BUDGET, lab.count("queries")),
        seed=lab.seed,
    )
    return (
        _control(reply, "linear", planted=True, name="linear rule"),
        _control(reply, "dice", planted=False, name="dice"),
    )


def _control(reply: Reply, victim: str, *, planted: bool, name: str) -> Control:
    truth = reply.arrays[victim]
    copy = _agreement(reply.arrays[f"{victim}_copy"], truth)
    gained = paired_gain(copy, _agreement(reply.arrays["baseline"], truth))
    return Control(
        name=name,
        planted=planted,
        found=gained.low > COPIED,
        estimate=gained,
        detail=f"the copy agrees on {float(copy.mean()):.1%} of unseen inputs",
    )


def _curve(lab: Lab, budgets: list[int], agreed: list[Array], alone: Array) -> Artifact:
    points = []
    for budget, flags in zip(budgets, agreed, strict=True):
        rate = _rate(flags)
        points.append(
            {
                "queries": budget,
                "fidelity": rate.value,
                "low": rate.low,
                "high": rate.high,
                "baseline": float(alone.mean()),
            }
        )
    return lab.keep(
        "curve.json",
        title="Agreement of the copy by number of queries",
        media_type="application/json",
        data=json.dumps(points, sort_keys=True).encode(),
    )
