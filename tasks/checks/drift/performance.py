"""How right is the model probably now, as long as no labels came?"""

from typing import Any

import numpy as np

from tasks.checks.drift.pair import keep_json, pair
from tasks.checks.drift.weighing import weighed
from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.drift.performance import Outcomes, drawn_apart, estimated
from tasks.domain.measurement import Control, Measurement, Status
from tasks.statistics.intervals import binomial

CHECK, VERSION = "drift.performance", 2
LEAST = 200
TILTS = np.linspace(0.5, 12, 24)
_METHOD = (
    "Confidence-based performance estimation (CBPE) with the reference's own rate of right answers "
    "at each confidence; average thresholded confidence (ATC) beside it; and the same with kept "
    "rows weighted by a classifier's odds between both tables (PAPE); bootstrap intervals."
)
_LIMITS = (
    "Assumes that at a given confidence the model is right as often as before.",
    "A concept that changed under the same inputs, or a targeted attack, needs labels to be seen.",
    "Confidence that an attacker pushed up reads as accuracy.",
    "What rows of equal confidence tell apart is seen in at most 2,000 kept rows of each table.",
)


def measure(lab: Lab) -> Measurement:
    """Estimates the accuracy now, between two controls of known accuracy."""
    both, tolerance = pair(lab), lab.number("settle_at")
    before = Outcomes(both.reference.shown, both.reference.answered, both.reference.right)
    labelled, shown = int(before.answered.sum()), int(both.current.shown.sum())
    if min(labelled, shown) < LEAST:
        raise NotAvailable(
            f"{labelled} rows of the reference have a prediction and a label, {shown} rows of now "
            f"have a prediction; {LEAST} of each are needed"
        )
    if np.count_nonzero(before.answered) < 2:
        raise NotAvailable("the predictions have no confidence: hand in probabilities or scores")
    found = estimated(before, both.current.shown, seed=lab.seed)
    controls = _controls(before, shown, tolerance, lab.seed)
    moved = weighed(lab, both)
    gap = abs(found.by_confidence - found.by_threshold)
    doubts: tuple[str, ...] = (
        (f"the two estimates of accuracy differ by {gap:.1%}, more than the tolerance",)
        if gap > tolerance
        else ()
    )
    if moved.found and moved.found.drop.low > found.drop.value + tolerance:
        fall = f"its accuracy probably falls by {moved.found.drop.value:.1%}"
        why = "on inputs like those of now the model was right less often than its confidence says"
        doubts += (f"{why}: {fall}",)
    weights = {"accuracy_drop_of_moved_inputs": moved.found.drop} if moved.found else {}
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"Accuracy was {found.reference:.1%}; expected now is {found.by_confidence:.1%} "
        f"(by confidence) or {found.by_threshold:.1%} (by threshold).",
        estimates={"accuracy_drop": found.drop, **weights},
        controls=controls,
        alarms=doubts,
        limits=_LIMITS,
        method=_METHOD,
        facts={
            **_facts(both.current.right.sum(), both.current.answered.sum(), found.by_confidence),
            "moved_inputs": moved.told,
        },
        artifacts=(
            keep_json(
                lab, "confidence.json", "Accuracy by confidence", _curve(before, both.current.shown)
            ),
        ),
        cost=lab.cost,
    )


def _facts(
    right: Any, answered: Any, expected: float
) -> dict[str, str | int | float | bool | None]:
    if not answered:
        return {"labelled_now": 0}
    real = binomial(int(right), int(answered)).value
    return {
        "labelled_now": int(answered),
        "accuracy_of_labelled": round(real, 6),
        "error_of_estimate": round(expected - real, 6),
    }


def _controls(before: Outcomes, rows: int, tolerance: float, seed: int) -> tuple[Control, ...]:
    """Draws halves of the labelled reference: evenly, and so that accuracy really falls."""
    rest, even = drawn_apart(before, rows, tilt=0.0, seed=seed)
    clean = estimated(rest, even.shown, seed=seed).drop
    for tilt in TILTS:
        rest, tilted = drawn_apart(before, rows, tilt=float(tilt), seed=seed)
        real = rest.right.sum() / rest.answered.sum() - tilted.right.sum() / tilted.answered.sum()
        if real >= 2 * tolerance:
            break
    planted = estimated(rest, tilted.shown, seed=seed).drop
    return (
        Control(
            name="planted fall",
            planted=True,
            found=planted.low > tolerance,
            estimate=planted,
            detail=f"rows drawn where the model is unsure; accuracy really falls by {real:.1%}, "
            f"estimated is {planted.value:.1%}",
        ),
        Control(
            name="two halves of the reference",
            planted=False,
            found=clean.low > tolerance,
            estimate=clean,
            detail=f"{int(even.shown.sum())} labelled rows against the rest",
        ),
    )


def _curve(before: Outcomes, now: Any) -> dict[str, Any]:
    some = before.answered > 0
    return {
        "confidence": ((np.flatnonzero(some) + 0.5) / len(some)).round(4).tolist(),
        "accuracy": (before.right[some] / before.answered[some]).round(6).tolist(),
        "reference": (before.shown / max(1, before.shown.sum()))[some].round(6).tolist(),
        "current": (now / max(1, now.sum()))[some].round(6).tolist(),
    }
