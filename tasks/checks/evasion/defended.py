"""One defence put up and attacked: by who knows of it, and by who does not.

A defence of training becomes a model file of its own, and that very file is opened and attacked.
Filters and random changes stand in front of the delivered file. Everything runs in children.
"""

import contextlib
from typing import Any, NamedTuple

import numpy as np

from tasks.checks.evasion import curve
from tasks.checks.evasion.cascade import budget_of, fitting
from tasks.checks.evasion.certified_radius import certified
from tasks.checks.evasion.referee import population
from tasks.checks.evasion.robust_accuracy import second_thoughts
from tasks.checks.evasion.settling import Bench, attack_all, bench_of, block, settle, told
from tasks.checks.lab import Lab, NotAvailable, Opening
from tasks.checks.trained_copy import as_file
from tasks.domain.errors import ChildRaisedError
from tasks.domain.measurement import Artifact
from tasks.sandbox.protocol import Reply
from tasks.statistics.intervals import binomial

NONE = "none"
TRAINED = ("adversarial_training", "art_trades")
FILTERS = ("jpeg_compression", "spatial_smoothing", "feature_squeezing")
RANDOM = ("random_resize_pad", "randomised_smoothing")
DEFENCES = (*TRAINED, *FILTERS, *RANDOM)
FEWEST_ROWS = 50
PROGRAM = "program"


class Variant(NamedTuple):
    """A model behind a defence, on a bench of its own, and its file where it has one."""

    lab: Lab
    kept: Artifact | None


def measure_arm(lab: Lab, name: str) -> Reply:
    """Puts one defence up and attacks it until its robust accuracy is settled.

    Returns:
        Arrays ``clean``, ``standing`` and ``unaware`` (n,: read correctly as they are, under every
        attack, and under candidates made for the delivered model); values ``alarms``, ``curve``,
        ``settled``, ``artifact``, ``certified``, ``passes`` and ``queries``. Only ``refused`` (why)
        and the cost, where the defence cannot be put up.
    """
    before = lab.cost
    try:
        reply = _behind(lab, name)
    except ChildRaisedError as error:
        if name == NONE:
            raise
        reply = Reply({}, {"refused": error.message[:300]})
    passes, queries = lab.cost.passes - before.passes, lab.cost.queries - before.queries
    return Reply(reply.arrays, {**reply.values, "passes": passes, "queries": queries})


def _behind(lab: Lab, name: str) -> Reply:
    variant = _put_up(lab, name)
    with contextlib.ExitStack() as leaving:
        bench = leaving.enter_context(variant.lab)
        leaving.callback(lab.charge, bench)
        reply = _attacked(lab, bench, name)
    further: dict[str, Any] = {}
    if variant.kept is not None:
        further["artifact"] = variant.kept.model_dump(mode="json")
    if name == "randomised_smoothing":
        further["certified"] = _certified(lab, len(reply.arrays["clean"]))
    return Reply(reply.arrays, {**reply.values, **further})


def _put_up(lab: Lab, name: str) -> Variant:
    if name == NONE:
        return Variant(lab.beside(), None)
    lab.target()
    if name in TRAINED:
        return _trained(lab, name)
    spec = lab.subject.spec.model.input
    assert spec is not None, "an opened classifier has an input"
    whole = budget_of(spec, 0)
    values = {
        "defence": name,
        "sigma": lab.number("sigma") * (whole.high - whole.low),
        "seed": lab.seed,
    }
    opening = Opening("attacks.defences.defended.open_defended", values)
    return Variant(lab.beside(opening), None)


def _trained(lab: Lab, name: str) -> Variant:
    """Trains a copy in the child and keeps it as a file, to be opened like any other."""
    model = lab.subject.spec.model
    assert model.input is not None, "an opened classifier has an input"
    pool = fitting(
        lab.sample("training", lab.count("rows")), model.input, int(lab.target()["classes"])
    )
    if len(pool.labels) < FEWEST_ROWS:
        raise NotAvailable(f"{len(pool.labels)} training rows are too few, {FEWEST_ROWS} needed")
    reply = lab.run(
        "attacks.defences.training",
        {"inputs": pool.inputs, "labels": pool.labels},
        defence=name,
        epsilon=budget_of(model.input, lab.number("epsilon")).epsilon,
        epochs=lab.count("epochs"),
        seed=lab.seed,
        model=model.model_dump(mode="json"),
        **lab.model_files(),
    )
    path, data = as_file(reply, artifact=str(model.artifact), program="hardened.pt2")
    kept = lab.keep(
        f"{name}.{'pt2' if path.endswith('.pt2') else 'safetensors'}",
        title=f"the model after {name.replace('_', ' ')}",
        media_type="application/octet-stream",
        data=data,
    )
    return Variant(lab.beside(artifact=(path, data)), kept)


def _attacked(bare: Lab, lab: Lab, name: str) -> Reply:
    bench = bench_of(lab, "linf")
    if bench.access != "gradients":
        raise NotAvailable(f"the model reveals only {bench.access}; gradients are needed")

    def attack(lab: Lab, bench: Bench, index: int) -> Reply:
        before, cascade = lab.cost, block(lab, bench, index)
        if name != NONE:
            rows = np.flatnonzero(cascade.standing)
            known = bare.run(
                "attacks.defences.unaware",
                {"inputs": cascade.inputs[rows], "labels": cascade.labels[rows]},
                epsilon=bench.budget.epsilon,
                steps=bench.effort.steps,
                seed=lab.seed,
            )
            cascade.confront("unaware", rows, known.arrays["candidates"])
        unaware = cascade.standing.copy()
        attack_all(cascade, bench)
        return told(cascade, before, unaware=cascade.standing if name == NONE else unaware)

    settled = settle(
        lab, bench, attack=attack, at=lab.number("robust_at"), least=lab.count("least_points")
    )
    cascade = settled.cascade
    # Where chance answers, what a late search breaks may be chance as well: no alarm.
    doubts = [] if name in RANDOM else second_thoughts(lab, bench, cascade)
    return Reply(
        {
            "clean": cascade.correct,
            "standing": cascade.standing,
            "unaware": np.concatenate([each.arrays["unaware"] for each in settled.outcomes]),
        },
        {
            "alarms": doubts,
            "curve": curve.levels(lab, cascade, white_box=True),
            "settled": str(settled.answer),
            "fell_to": cascade.fell_to,
        },
    )


def _certified(lab: Lab, points: int) -> dict[str, float]:
    """Certifies the vote under noise for changes that are ``epsilon`` long in L2."""
    people = population(lab, points=points, access="labels")
    radius = lab.number("epsilon") * people.span
    found = certified(lab, people, wanted=radius)
    sure = (found.chosen == people.labels) & (found.radius >= radius)
    rate = binomial(int(sure.sum()), len(sure))
    return {"l2_radius": radius, **rate.model_dump(include={"value", "low", "high", "n"})}
