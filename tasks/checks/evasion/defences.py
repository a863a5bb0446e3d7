"""What a defence would be worth: robust accuracy before and after, against who knows of it.

Sources: Athalye et al. 2018, arXiv 1802.00420; Tramèr et al. 2020, arXiv 2002.08347 (attack every
defence with its own weakness in mind); Madry et al. 2018, arXiv 1706.06083.
"""

import json
from typing import NamedTuple

import numpy as np

from tasks.checks.evasion.cascade import budget_of, fitting
from tasks.checks.evasion.doubts import about_answers
from tasks.checks.evasion.referee import Population, population
from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.betting import confidence_sequence
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.defences", 1
NONE, TRAINED = "none", "adversarial_training"
DEFENCES = (TRAINED, "jpeg_compression", "spatial_smoothing", "feature_squeezing")
ALPHA = 0.05
FEWEST_ROWS = 50


class Arm(NamedTuple):
    """How one defence did, point by point (n,): read correctly, clean and under attack."""

    name: str
    clean: Array
    aware: Array
    unaware: Array


def measure(lab: Lab) -> Measurement:
    """Attacks the bare model and each defended one; compares on the same points."""
    people = population(lab, points=lab.count("points"), access="gradients")
    bare = _arm(lab, people, NONE)
    if isinstance(bare, str):
        raise NotAvailable(bare)
    tried = {name: _arm(lab, people, name) for name in DEFENCES}
    arms = [arm for arm in tried.values() if isinstance(arm, Arm)]
    refused = {name: arm for name, arm in tried.items() if isinstance(arm, str)}
    if not arms:
        raise NotAvailable(f"no defence could be put up: {'; '.join(refused.values())[:500]}")
    best = max(arms, key=lambda arm: float(arm.aware.mean()))
    n = len(people.labels)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"Bare, {bare.aware.mean():.1%} of {n} inputs keep their class; with {best.name} "
            f"{best.aware.mean():.1%} against an attacker who knows of it (clean "
            f"{bare.clean.mean():.1%} and {best.clean.mean():.1%})."
        ),
        estimates={
            "gain_of_best_defence": gained(best.aware, bare.aware, 1 - ALPHA / len(arms)),
            "robust_accuracy": binomial(int(bare.aware.sum()), n),
            "robust_accuracy_defended": binomial(int(best.aware.sum()), n),
            "clean_accuracy": binomial(int(bare.clean.sum()), n),
            "clean_accuracy_defended": binomial(int(best.clean.sum()), n),
        },
        controls=_controls(bare),
        alarms=tuple(about_answers(people.described)),
        limits=(
            "Defended models live in the sandbox child alone: what they answer is its word.",
            *(f"{name} was not compared: {why}" for name, why in refused.items()),
        ),
        method=(
            "Adversarial training from the delivered weights; filters of ART in front. Auto-PGD "
            "(through filters as if they were not there, BPDA), Square, and transfer from the bare "
            "model; worst case per input."
        ),
        facts={
            "points": n,
            "best": best.name,
            "epochs": lab.count("epochs"),
            **{f"clean_{arm.name}": float(arm.clean.mean()) for arm in (bare, *arms)},
            **{f"robust_{arm.name}": float(arm.aware.mean()) for arm in (bare, *arms)},
            **{f"unaware_{arm.name}": float(arm.unaware.mean()) for arm in (bare, *arms)},
        },
        artifacts=(_table(lab, [bare, *arms]),),
        cost=lab.cost,
    )


def gained(after: Array, before: Array, confidence: float) -> Estimate:
    """Returns how many points more stand after than before, on the same points."""
    halves = (after.astype(np.float64) - before + 1) / 2
    mean = confidence_sequence(halves, confidence)
    return Estimate(
        value=2 * mean.value - 1,
        low=2 * mean.low - 1,
        high=2 * mean.high - 1,
        confidence=confidence,
        n=mean.n,
    )


def _arm(lab: Lab, people: Population, name: str) -> Arm | str:
    """Returns how one defence did, or why it could not be put up."""
    pool = fitting(
        lab.sample("training", lab.count("rows")), people.spec, int(people.described["classes"])
    )
    if len(pool.labels) < FEWEST_ROWS:
        raise NotAvailable(f"{len(pool.labels)} training rows are too few, {FEWEST_ROWS} needed")
    epsilon = lab.number("epsilon") * people.span
    reply = lab.run(
        "attacks.defences.compared",
        {
            "inputs": people.inputs,
            "labels": people.labels,
            "pool": pool.inputs,
            "pool_labels": pool.labels,
        },
        arm=name,
        epsilon=epsilon,
        steps=lab.count("steps"),
        queries=lab.count("square_queries"),
        epochs=lab.count("epochs"),
        seed=lab.seed,
    )
    if "refused" in reply.values:
        return str(reply.values["refused"])[:300]
    arrays, n = reply.arrays, len(people.labels)
    if any(arrays[key].shape != (n,) for key in ("clean", "moved", "unaware")):
        return "the child answered another number of points"
    moved, clean = arrays["candidates"], people.inputs
    budget = budget_of(people.spec, lab.number("epsilon"))
    if moved.shape != clean.shape or budget.exceeded(moved, clean).any():
        return "the attack left its budget"
    right = arrays["clean"] == people.labels
    return Arm(
        name,
        right,
        right & (arrays["moved"] == people.labels),
        right & (arrays["unaware"] == people.labels),
    )


def _controls(bare: Arm) -> tuple[Control, ...]:
    """The bare model against itself: knowing of no defence is knowing all there is."""
    fell = int((bare.clean & ~bare.aware).sum())
    worse = int((bare.aware & ~bare.unaware).sum())
    return (
        Control(
            name="attack on the bare model",
            planted=True,
            found=fell > 0 or not bare.clean.any(),
            detail=f"{fell} of {int(bare.clean.sum())} inputs fell",
        ),
        Control(
            name="bare model, worse against who knows less",
            planted=False,
            found=worse > 0,
            detail=f"{worse} inputs fell only to the attacker who knows less",
        ),
    )


def _table(lab: Lab, arms: list[Arm]) -> Artifact:
    rows = [
        {
            "defence": arm.name,
            "clean_accuracy": float(arm.clean.mean()),
            "robust_accuracy": float(arm.aware.mean()),
            "against_unaware": float(arm.unaware.mean()),
        }
        for arm in arms
    ]
    return lab.keep(
        "defences.json",
        title="Accuracy before and after each defence",
        media_type="application/json",
        data=json.dumps(rows, sort_keys=True).encode(),
    )
