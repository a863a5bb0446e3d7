"""How many inputs keep their class under every small change that strong attacks can find.

Source: Croce & Hein 2020, arXiv 2003.01690: worst case per point over a cascade of attacks.
"""

import json
from typing import Any

import numpy as np
import safetensors.numpy

from tasks.checks.evasion import doubts, masking
from tasks.checks.evasion.cascade import Cascade, answers, budget_of, fitting
from tasks.checks.evasion.controls import linear_controls
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.domain.bundle import InputSpec
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Measurement, Status
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.linf_robust_accuracy", 1
APGD, SQUARE = doubts.APGD, doubts.SQUARE
CURVE_FACTORS = (0.25, 0.5, 2.0)
CURVE_POINTS = 60
SHOWN = 16
SCORES_ONLY_FACTOR = 5
METHOD = {
    "gradients": (
        "Auto-PGD with cross-entropy, then with targeted DLR towards the closest classes, then "
        "Square; worst case per point. Witnesses are brought into the budget and asked again."
    ),
    "scores": "Square only: the target reveals no gradients. Witnesses are asked again.",
}


def measure(lab: Lab) -> Measurement:
    """Runs the cascade on a sample of the evaluation data and measures every claim again."""
    spec, classes = _contract(lab)
    examples = fitting(lab.sample("evaluation", lab.count("points")), spec, classes)
    described = lab.target()
    access = str(described["access"])
    if access not in METHOD:
        raise NotAvailable("the model reveals labels only; these attacks need scores at least")
    predicted = answers(lab, examples.inputs).argmax(axis=1)
    cascade = Cascade(lab, examples, predicted, budget_of(spec, lab.number("epsilon")))
    alarms = doubts.about_answers(described)
    alarms += _white_box(lab, cascade) if access == "gradients" else _scores_only(lab, cascade)
    curve = _curve(lab, cascade, white_box=access == "gradients")
    controls = linear_controls(
        lab, steps=lab.count("steps"), square_queries=lab.count("square_queries")
    )
    robust = binomial(int(cascade.standing.sum()), len(cascade.labels))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(cascade, robust, lab.number("epsilon")),
        estimates={
            "robust_accuracy": robust,
            "clean_accuracy": binomial(int(cascade.correct.sum()), len(cascade.labels)),
        },
        controls=controls,
        alarms=tuple(alarms + doubts.about_budget(cascade)),
        limits=_limits(described),
        method=METHOD[access],
        facts=_facts(lab, cascade, access),
        artifacts=_artifacts(lab, cascade, curve),
        cost=lab.cost,
    )


def _contract(lab: Lab) -> tuple[InputSpec, int]:
    model = lab.subject.spec.model
    if model.input is None or model.output is None or model.output.classes is None:
        raise NotApplicable("the bundle describes no classifier with a fixed input")
    return model.input, model.output.classes


def _white_box(lab: Lab, cascade: Cascade) -> list[str]:
    """Runs from cheap to dear; returns what speaks against trusting the survivors."""
    steps, restarts = lab.count("steps"), lab.count("restarts")
    start = cascade.attack("apgd_ce", APGD, loss="ce", steps=steps, restarts=restarts).reply
    cascade.attack("apgd_dlr", APGD, loss="dlr_targeted", steps=steps, restarts=restarts)
    return [
        *doubts.about_gradients(start),
        *doubts.by_one_step(cascade),
        *doubts.by_scores(cascade, lab.count("square_queries")),
        *doubts.by_more_steps(cascade, steps),
        *masking.further(cascade),
        *doubts.by_large_budget(cascade, steps),
    ]


def _scores_only(lab: Lab, cascade: Cascade) -> list[str]:
    cascade.attack("square", SQUARE, queries=SCORES_ONLY_FACTOR * lab.count("square_queries"))
    return []


def _curve(lab: Lab, cascade: Cascade, *, white_box: bool) -> list[dict[str, float]]:
    """Robust accuracy at other budgets, from fewer points and a lighter attack.

    Standing is monotone in the budget, so only points that could differ are attacked: below the
    main budget those that fell, above it those that stood.
    """
    few = np.arange(len(cascade.labels)) < CURVE_POINTS
    main = lab.number("epsilon")
    rows = [_point(0.0, cascade.correct & few, few), _point(main, cascade.standing & few, few)]
    certain = cascade.standing & few
    for factor in CURVE_FACTORS:
        open_ = cascade.correct & few & (~cascade.standing if factor < 1 else cascade.standing)
        other = cascade.under(cascade.budget.epsilon * factor, open_)
        _light_attack(lab, other, white_box=white_box)
        standing = other.standing | certain if factor < 1 else other.standing
        rows.append(_point(main * factor, standing, few))
    return _monotone(sorted(rows, key=lambda row: row["epsilon"]))


def _light_attack(lab: Lab, cascade: Cascade, *, white_box: bool) -> None:
    if not white_box:
        cascade.attack("square", SQUARE, queries=lab.count("square_queries"))
        return
    steps = max(10, lab.count("steps") // 2)
    cascade.attack("apgd_ce", APGD, loss="ce", steps=steps)
    cascade.attack("apgd_dlr", APGD, loss="dlr_targeted", steps=steps, targets=2)


def _point(epsilon: float, standing: Any, few: Any) -> dict[str, float]:
    estimate = binomial(int(standing.sum()), int(few.sum()))
    return {
        "epsilon": epsilon,
        "robust_accuracy": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
    }


def _monotone(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """A witness for a small budget is one for every larger budget."""
    lowest = rows[0]
    kept = []
    for row in rows:
        if row["robust_accuracy"] < lowest["robust_accuracy"]:
            lowest = row
        kept.append({**lowest, "epsilon": row["epsilon"]})
    return kept


def _detail(cascade: Cascade, robust: Estimate, epsilon: float) -> str:
    standing, count = int(cascade.standing.sum()), len(cascade.labels)
    return (
        f"{int(cascade.correct.sum())} of {count} inputs are read correctly, {standing} of {count} "
        f"({robust.value:.1%}, interval {robust.low:.1%} to {robust.high:.1%}) also under every "
        f"change of at most {epsilon:.4g} of the input range that was found."
    )


def _limits(described: dict[str, Any]) -> tuple[str, ...]:
    notes = tuple(str(note) for note in described.get("notes", ()))
    if described["access"] == "gradients":
        return notes
    return (*notes, "Without gradients only a score search was run: survivors prove little.")


def _facts(lab: Lab, cascade: Cascade, access: str) -> dict[str, str | int | float | bool | None]:
    return {
        "access": access,
        "epsilon": lab.number("epsilon"),
        "epsilon_raw": cascade.budget.epsilon,
        "points": len(cascade.labels),
        "correct": int(cascade.correct.sum()),
        "standing": int(cascade.standing.sum()),
        **{f"fell_to_{stage}": count for stage, count in sorted(cascade.fell_to.items())},
    }


def _artifacts(lab: Lab, cascade: Cascade, curve: list[dict[str, float]]) -> tuple[Artifact, ...]:
    kept = lab.keep(
        "curve.json",
        title="Robust accuracy by size of change",
        media_type="application/json",
        data=json.dumps(curve, sort_keys=True).encode(),
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
