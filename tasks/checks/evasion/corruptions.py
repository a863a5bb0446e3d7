"""How well the model reads pictures that weather, lenses, motion and files have damaged.

Source: Hendrycks and Dietterich 2019, arXiv 1903.12261. The damage is done here, on the trusted
side; the child only answers.
"""

import json

import numpy as np

from tasks.attacks.corruptions.kinds import KINDS, SEVERITIES, corrupted
from tasks.attacks.corruptions.picture import Layout
from tasks.checks.evasion.cascade import answers
from tasks.checks.evasion.doubts import about_answers
from tasks.checks.evasion.referee import Population, population
from tasks.checks.lab import Lab, NotApplicable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.betting import confidence_sequence
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.corruptions", 1
ALPHA = 0.05


def measure(lab: Lab) -> Measurement:
    """Damages every picture in every way and asks; the worst kind is told beside the mean."""
    layout = pictures_of(lab)
    people = population(lab, points=lab.count("points"), access="labels")
    severities = SEVERITIES[:: lab.count("severity_step")]
    held = {kind: _held(lab, people, layout, kind, severities) for kind in KINDS}
    mean = _mean(np.concatenate([*held.values()], axis=1))
    # The worst of fifteen was picked after looking, so its interval answers for all fifteen.
    worst = min(held, key=lambda kind: float(held[kind].mean()))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"Undamaged {people.correct.mean():.1%} of {len(people.labels)} pictures are read "
            f"correctly, damaged in {len(KINDS)} ways {mean.value:.1%}; worst under {worst} "
            f"({float(held[worst].mean()):.1%})."
        ),
        estimates={
            "mean_accuracy": mean,
            "worst_kind_accuracy": _mean(held[worst], confidence=1 - ALPHA / len(KINDS)),
            "clean_accuracy": binomial(int(people.correct.sum()), len(people.labels)),
        },
        controls=_controls(people, layout, lab.seed),
        alarms=tuple(about_answers(people.described)),
        limits=tuple(str(note) for note in people.described.get("notes", ())),
        method=(
            "Fifteen kinds of damage at several severities, each drawn from the picture's own "
            "generator; intervals are anytime-valid, pictures are the independent units."
        ),
        facts={
            "points": len(people.labels),
            "worst_kind": worst,
            "severities": ", ".join(str(one) for one in severities),
            **{f"accuracy_{kind}": float(held[kind].mean()) for kind in KINDS},
        },
        artifacts=(_table(lab, held, severities),),
        cost=lab.cost,
    )


def pictures_of(lab: Lab) -> Layout:
    """Returns how the model's items become pictures.

    Raises:
        NotApplicable: They are no pictures.
    """
    model = lab.subject.spec.model
    if model.input is None or model.output is None or model.output.classes is None:
        raise NotApplicable("the bundle describes no classifier with a fixed input")
    bounds = model.input.range
    if model.input.dtype == "uint8" and bounds == (0.0, 1.0):
        bounds = (0.0, 255.0)
    try:
        return Layout(model.input.shape, bounds)
    except ValueError as error:
        raise NotApplicable(str(error)) from error


def _held(
    lab: Lab, people: Population, layout: Layout, kind: str, severities: tuple[int, ...]
) -> Array:
    """Returns which pictures are read correctly at each severity (n, severities)."""
    columns = []
    for severity in severities:
        moved = corrupted(people.inputs, layout, kind=kind, severity=severity, seed=lab.seed)
        read = answers(lab, np.round(moved) if people.whole else moved).argmax(axis=1)
        columns.append(read == people.labels)
    return np.stack(columns, axis=1)


def _mean(held: Array, confidence: float = 1 - ALPHA) -> Estimate:
    """Averages each picture first: pictures are independent, kinds of damage are not."""
    return confidence_sequence(held.mean(axis=1), confidence)


def _controls(people: Population, layout: Layout, seed: int) -> tuple[Control, ...]:
    """Two readers with known answers: one looks at exact pixels, one never looks."""
    kind, severity = "gaussian_noise", SEVERITIES[-1]
    moved = corrupted(people.inputs, layout, kind=kind, severity=severity, seed=seed)
    exact = (moved == people.inputs).reshape(len(moved), -1).all(axis=1)
    lost = int((~exact).sum())
    return (
        Control(
            name="reader of exact pixels",
            planted=True,
            found=lost == len(moved),
            estimate=binomial(lost, len(moved)),
            detail=f"{lost} of {len(moved)} pictures differ after {kind}",
        ),
        Control(
            name="reader that never looks",
            planted=False,
            found=not bool(np.isfinite(moved).all()) or moved.shape != people.inputs.shape,
            detail="damaged pictures have the shape and the finite values a reader needs",
        ),
    )


def _table(lab: Lab, held: dict[str, Array], severities: tuple[int, ...]) -> Artifact:
    rows = [
        {"kind": kind, "severity": severity, "accuracy": float(column.mean())}
        for kind, columns in held.items()
        for severity, column in zip(severities, columns.T, strict=True)
    ]
    return lab.keep(
        "corruptions.json",
        title="Accuracy by kind and severity of damage",
        media_type="application/json",
        data=json.dumps(rows, sort_keys=True).encode(),
    )
