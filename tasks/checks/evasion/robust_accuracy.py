"""How many inputs keep their class under a strong cascade of attacks, in one norm.

Source: Croce & Hein 2020, arXiv 2003.01690: worst case per point over a cascade of attacks.
"""

import json
from typing import Any

import numpy as np
import safetensors.numpy

from tasks.checks.evasion import curve, doubts, masking
from tasks.checks.evasion.cascade import Cascade
from tasks.checks.evasion.controls import linear_controls
from tasks.checks.evasion.settling import ALPHA, CONFIDENCE, Bench, Settlement, bench_of, settle
from tasks.checks.lab import Lab
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Measurement, Status
from tasks.statistics.betting import Settled, confidence_sequence
from tasks.statistics.intervals import binomial
from tasks.statistics.power import fixed_sample_size

Fact = str | int | float | bool | None
SHOWN = 16
POWER = 0.95
METHOD = {
    "gradients": (
        "Auto-PGD with cross-entropy, targeted DLR and margin, FAB towards the nearest classes, "
        "Square; worst case per point. Hopeless attempts are given up early, points that came near "
        "get the whole effort. Witnesses are brought into the budget and asked again."
    ),
    "scores": "Square only: the target reveals no gradients. Witnesses are asked again.",
}


def measure_norm(lab: Lab, *, check: str, version: int, norm: str) -> Measurement:
    """Runs the cascade on a sample of the evaluation data and measures every claim again.

    Raises:
        NotApplicable: The bundle describes no classifier with a fixed input.
        NotAvailable: Data or scores are missing, or do not belong to this model.
    """
    bench = bench_of(lab, norm)
    settled = settle(lab, bench)
    cascade, main_passes = settled.cascade, lab.cost.passes
    alarms = doubts.about_answers(lab.target()) + second_thoughts(lab, bench, cascade)
    levels = curve.levels(lab, cascade, white_box=bench.access == "gradients")
    controls = linear_controls(lab, norm=norm)
    robust = confidence_sequence(
        cascade.standing.astype(float), CONFIDENCE, also=(lab.number("settle_at"),)
    )
    return Measurement(
        check=check,
        version=version,
        status=Status.MEASURED,
        detail=_detail(lab, bench, settled, robust),
        estimates={
            "robust_accuracy": robust,
            "clean_accuracy": binomial(int(cascade.correct.sum()), len(cascade.labels)),
        },
        controls=controls,
        alarms=tuple(alarms + doubts.about_budget(cascade)),
        limits=_limits(lab.target()),
        method=METHOD[bench.access],
        facts=_facts(lab, bench, cascade) | _price(lab, robust, settled, main_passes),
        artifacts=_artifacts(lab, cascade, levels),
        cost=lab.cost,
    )


def second_thoughts(lab: Lab, bench: Bench, cascade: Cascade) -> list[str]:
    """Returns what speaks against trusting the survivors of gradient attacks."""
    if bench.access != "gradients":
        return []
    return [
        *doubts.about_gradients(cascade),
        *doubts.about_scores(cascade),
        *doubts.by_one_step(cascade),
        *doubts.by_more_steps(cascade, lab.count("steps")),
        *masking.further(cascade),
        *doubts.by_large_budget(cascade, lab.count("steps")),
    ]


def _detail(lab: Lab, bench: Bench, settled: Settlement, robust: Estimate) -> str:
    cascade, planned = settled.cascade, len(bench.examples.labels)
    standing, count = int(cascade.standing.sum()), len(cascade.labels)
    change = "no value moved by more than" if bench.budget.norm == "linf" else "no longer than"
    threshold = lab.number("settle_at")
    settling = (
        f"{threshold:.4g} is not settled after all {count} points."
        if settled.answer is Settled.OPEN
        else f"That it is {settled.answer} {threshold:.4g} was settled with {count} of {planned} "
        f"points; {_planned_beforehand(robust, threshold)}"
    )
    return (
        f"{int(cascade.correct.sum())} of {count} inputs are read correctly, {standing} of {count} "
        f"({robust.value:.1%}, interval {robust.low:.1%} to {robust.high:.1%}) also under every "
        f"change that was found, {change} {lab.number('epsilon'):.4g} of the input range. "
        f"{settling}"
    )


def _planned_beforehand(robust: Estimate, threshold: float) -> str:
    """Says what stopping early saves, and what it does not."""
    fixed = fixed_sample_size(robust.value, threshold, alpha=ALPHA, power=POWER)
    if fixed is None:
        return "no fixed sample size below 100,000 would do."
    return (
        f"a sample size fixed beforehand by someone who knew this rate would be {fixed}, so the "
        "saving is that nobody had to know it."
    )


def _limits(described: dict[str, Any]) -> tuple[str, ...]:
    notes = tuple(str(note) for note in described.get("notes", ()))
    if described["access"] == "gradients":
        return notes
    return (*notes, "Without gradients only a score search was run: survivors prove little.")


def _facts(lab: Lab, bench: Bench, cascade: Cascade) -> dict[str, Fact]:
    return {
        "access": bench.access,
        "norm": bench.budget.norm,
        "epsilon": lab.number("epsilon"),
        "epsilon_raw": cascade.budget.epsilon,
        "points": len(cascade.labels),
        "correct": int(cascade.correct.sum()),
        "standing": int(cascade.standing.sum()),
        **{f"fell_to_{stage}": count for stage, count in sorted(cascade.fell_to.items())},
    }


def _price(lab: Lab, robust: Estimate, settled: Settlement, passes: int) -> dict[str, Fact]:
    """Tells the cost of the answer beside that of a design with a fixed number of points."""
    threshold = lab.number("settle_at")
    fixed = fixed_sample_size(robust.value, threshold, alpha=ALPHA, power=POWER)
    a_point = passes / len(settled.cascade.labels)
    return {
        "settled": str(settled.answer),
        "settle_at": threshold,
        "attack_passes": passes,
        "passes_a_point": round(a_point, 1),
        "fixed_design_points": fixed,
        "fixed_design_passes": None if fixed is None else round(fixed * a_point),
    }


def _artifacts(lab: Lab, cascade: Cascade, levels: list[dict[str, float]]) -> tuple[Artifact, ...]:
    kept = lab.keep(
        "curve.json",
        title="Robust accuracy by size of change",
        media_type="application/json",
        data=json.dumps(levels, sort_keys=True).encode(),
    )
    fallen = np.flatnonzero(cascade.correct & ~cascade.standing)[:SHOWN]
    if not len(fallen):
        return (kept,)
    tensors = {
        "clean": cascade.inputs[fallen],
        "adversarial": cascade.witnesses[fallen],
        "labels": cascade.labels[fallen],
        "predicted": cascade.read[fallen],
    }
    witnesses = lab.keep(
        "witnesses.safetensors",
        title="Inputs that a small change turns into another class",
        media_type="application/vnd.safetensors",
        data=safetensors.numpy.save(
            {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        ),
    )
    return kept, witnesses
