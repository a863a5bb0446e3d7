"""How small the smallest change is that turns an input into another class, point by point.

Source: Pintor et al. 2021, arXiv 2102.12827. One run gives accuracy at every budget at once.
"""

import json
from typing import Any

import numpy as np

from tasks.checks.evasion.controls import closed_form
from tasks.checks.evasion.doubts import about_answers
from tasks.checks.evasion.referee import (
    Population,
    about_escapes,
    distances,
    judged,
    population,
)
from tasks.checks.lab import Lab
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array, Reply
from tasks.statistics.intervals import binomial
from tasks.statistics.quantiles import median

CHECK, VERSION = "evasion.minimal_norm", 1
COMPARED, COMPARED_QUERIES = 10, 1000
"""Points that a search by labels alone is tried on as well, and how often it may ask."""
MUCH_CLOSER = 0.9
"""A search by labels that comes this much closer than gradients shows that these are masked."""
EXACT = 1.01
"""On the linear control a change this much longer than the closed form still counts as found."""
TIE = 1e-5
"""Scores of the linear control this near each other are a tie: the child computes in float32."""
STRETCHES = (1, 1.05, 1.25, 1.5, 2, 3)
CURVE = 41
FARTHEST = 1.0
"""Where no change was found: every value moved by the whole range."""


def measure(lab: Lab) -> Measurement:
    """Searches the smallest L2 and L-infinity changes and measures each of them again."""
    people = population(lab, points=lab.count("points"), access="gradients")
    rows = np.flatnonzero(people.correct)
    shortest, largest, escaped = {}, {}, 0
    alarms = about_answers(people.described)
    for norm in ("l2", "linf"):
        reply = _searched(lab, people, rows, norm)
        length, lost = _lengths(lab, people, rows, reply.arrays["candidates"], norm)
        escaped += lost
        shortest[norm] = np.zeros(len(people.labels))
        shortest[norm][rows] = length
        largest[norm] = int((length == FARTHEST).sum())
    alarms += _about_unfound(largest, len(rows)) + _about_labels(lab, people, rows, shortest["l2"])
    typical = median(shortest["l2"], bounds=(0, FARTHEST))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"Half of {len(people.labels)} inputs get another class by a change of at most "
            f"{typical.value:.4g} of the input range per value (root mean square); misread inputs "
            "count as 0."
        ),
        estimates={
            "median_rms_change": typical,
            "median_linf_change": median(shortest["linf"], bounds=(0, FARTHEST)),
            "clean_accuracy": binomial(len(rows), len(people.labels)),
        },
        controls=(_control(lab),),
        alarms=tuple(alarms + about_escapes(escaped)),
        limits=tuple(str(note) for note in people.described.get("notes", ())),
        method=(
            "FMN in L2 and L-infinity towards the nearest-looking classes; each witness is brought "
            "into the range, asked again and measured here."
        ),
        facts={
            "points": len(people.labels),
            "correct": len(rows),
            "values": int(people.inputs[0].size),
            "unfound_l2": largest["l2"],
            "unfound_linf": largest["linf"],
        },
        artifacts=(_curve(lab, shortest),),
        cost=lab.cost,
    )


def _searched(lab: Lab, people: Population, rows: Array, norm: str) -> Reply:
    return lab.run(
        "attacks.evasion.fmn",
        {"inputs": people.inputs[rows], "labels": people.labels[rows]},
        norm=norm,
        steps=lab.count("steps"),
        targets=lab.count("targets"),
        seed=lab.seed,
    )


def _lengths(
    lab: Lab, people: Population, rows: Array, claimed: Array, norm: str
) -> tuple[Array, int]:
    """Returns how long each change is that holds (n,), in input ranges, and how many escaped.

    Rounding (to whole numbers, to float32) may undo a change that ends on the boundary, so what
    does not hold is tried again a little longer; the length is that of what holds.
    """
    clean = people.inputs[rows]
    size = people.span * (np.sqrt(people.inputs[0].size) if norm == "l2" else 1)
    length = np.full(len(rows), FARTHEST)
    escaped = 0
    for factor in STRETCHES:
        open_ = np.flatnonzero(length == FARTHEST)
        if not len(open_) or claimed.shape != clean.shape:
            break
        change = factor * (claimed[open_].astype(np.float64) - clean[open_])
        # The claim itself is judged as it is; what this side made longer is kept in the range.
        longer = claimed[open_] if factor == 1 else _in_range(people, clean[open_] + change)
        result = judged(lab, people, rows[open_], longer)
        escaped += result.escaped if factor == 1 else 0
        found = distances(result.moved, clean[open_], norm) / size
        length[open_[result.held]] = found[result.held]
    return length, escaped if claimed.shape == clean.shape else len(rows)


def _in_range(people: Population, moved: Array) -> Array:
    inside: Array = np.clip(np.nan_to_num(moved), people.low, people.high).astype(np.float32)
    return inside


def _about_unfound(unfound: dict[str, int], count: int) -> list[str]:
    """Doubts a search that fails although any change at all is allowed."""
    return [
        f"for {missed} of {count} inputs no change of any size was found in {norm}: masking"
        for norm, missed in unfound.items()
        if missed
    ]


def _about_labels(lab: Lab, people: Population, rows: Array, shortest: Array) -> list[str]:
    """Doubts gradients that a search by labels alone outdoes."""
    few = rows[:COMPARED]
    if not len(few):
        return []
    reply = lab.run(
        "attacks.evasion.hop_skip_jump",
        {"inputs": people.inputs[few], "labels": people.labels[few]},
        queries=COMPARED_QUERIES,
        seed=lab.seed,
    )
    result = judged(lab, people, few, reply.arrays["candidates"])
    size = people.span * np.sqrt(people.inputs[0].size)
    length = distances(result.moved, people.inputs[few], "l2") / size
    closer = int((result.held & (length < MUCH_CLOSER * shortest[few])).sum())
    if not closer:
        return []
    return [f"a search by labels alone came closer on {closer} of {len(few)} inputs: masking"]


def _control(lab: Lab) -> Control:
    """Compares with the closed form of a linear model, worked out here."""
    reply = lab.run("attacks.evasion.nearest_control", norm="l2", seed=lab.seed)
    ratio = distance_ratios(reply)
    hits = int((np.abs(ratio - 1) <= EXACT - 1).sum())
    return Control(
        name="linear model, closed form",
        planted=True,
        found=hits == len(ratio),
        estimate=binomial(hits, len(ratio)),
        detail=f"{hits} of {len(ratio)} smallest changes are within 1 % of the closed form",
    )


def distance_ratios(reply: Reply) -> Array:
    """Returns found L2 length over closed form for each input of the linear control (n,)."""
    weights, labels = reply.arrays["weights"].astype(np.float64), reply.arrays["labels"]
    inputs, moved = (reply.arrays[name].astype(np.float64) for name in ("inputs", "candidates"))
    rows = np.arange(len(labels))
    after = moved @ weights.T + reply.arrays["bias"]
    reach = closed_form(reply, "l2")
    length = np.linalg.norm(moved - inputs, axis=1)
    own = after[rows, labels].copy()
    after[rows, labels] = -np.inf
    broken = own - after.max(axis=1) <= TIE
    ratio: Array = np.where(broken, length / reach, np.inf)
    return ratio


def _curve(lab: Lab, shortest: dict[str, Array]) -> Artifact:
    """Keeps the share of inputs that stand at every budget."""
    rows: list[dict[str, Any]] = []
    for norm, lengths in shortest.items():
        # The last budget is one step beyond the farthest witness: nobody is left there.
        budgets = np.linspace(0, float(lengths[lengths < FARTHEST].max(initial=0.0)), CURVE)
        for budget in budgets:
            standing = binomial(int((lengths > budget).sum()), len(lengths))
            rows.append(
                {
                    "norm": norm,
                    "change": float(budget),
                    "robust_accuracy": standing.value,
                    "low": standing.low,
                    "high": standing.high,
                }
            )
    return lab.keep(
        "curve.json",
        title="Accuracy by size of the smallest change",
        media_type="application/json",
        data=json.dumps(rows, sort_keys=True).encode(),
    )
