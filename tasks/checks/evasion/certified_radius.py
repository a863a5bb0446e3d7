"""How many inputs no change of a given length can turn, when the model votes under noise.

Sources: Cohen et al. 2019, arXiv 1902.02918, theorem 1 and algorithm "certify"; Voráček 2024, arXiv
2406.17830 (votes until the answer is settled). What is certified is the vote, not the bare model.
"""

import json
from typing import NamedTuple

import numpy as np
from scipy import special

from tasks.checks.evasion.doubts import about_answers
from tasks.checks.evasion.referee import Population, population
from tasks.checks.lab import Lab
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.certifying import rate_bounds
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.certified_radius", 1
CHOOSING = 50
"""Votes that choose the class; the certificate counts fresh ones only."""
ROUND = 100
ALPHA = 0.001
"""Chance that the certificate of one input is wrong, at most."""
CONTROL_ALPHA = 0.001
KEPT = 0.5
"""On the linear control a certificate this share of the exact radius counts as found."""


class Certificates(NamedTuple):
    """What is certain of each input, and how many votes it took."""

    chosen: Array
    radius: Array
    """Raw units; 0 where no class has a clear majority."""
    asked: Array


def measure(lab: Lab) -> Measurement:
    """Lets the model vote on noisy copies until each input's answer is settled."""
    people = population(lab, points=lab.count("points"), access="labels")
    wanted = lab.number("radius") * people.span
    found = certified(lab, people, wanted=wanted)
    right = found.chosen == people.labels
    sure = right & (found.radius >= wanted)
    rate = binomial(int(sure.sum()), len(people.labels))
    fixed = CHOOSING + lab.count("votes")
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"Voting under noise of {lab.number('sigma'):.4g} of the input range, "
            f"{int(right.sum())} of {len(right)} inputs are read correctly, {int(sure.sum())} "
            f"certainly also under every change no longer than {lab.number('radius'):.4g} "
            f"(L2, input ranges). {float(found.asked.mean()):.0f} votes an input were enough; a "
            f"fixed design spends {fixed}."
        ),
        estimates={
            "certified_accuracy": rate,
            "smoothed_accuracy": binomial(int(right.sum()), len(right)),
            "clean_accuracy": binomial(int(people.correct.sum()), len(right)),
        },
        controls=_controls(lab),
        alarms=tuple(about_answers(people.described)),
        limits=(
            "The certificate is about the vote under noise. The model alone has none.",
            *(str(note) for note in people.described.get("notes", ())),
        ),
        method=(
            "Gaussian votes; class from votes of its own; anytime-valid lower bound of its share "
            "(Robbins' mixture), radius sigma times its normal quantile; stops when settled."
        ),
        facts={
            "points": len(right),
            "sigma_raw": lab.number("sigma") * people.span,
            "radius_raw": wanted,
            "alpha_per_input": ALPHA,
            "votes_mean": float(found.asked.mean()),
            "votes_fixed_design": fixed,
            "median_radius_raw": float(np.median(np.where(right, found.radius, 0))),
        },
        artifacts=(_kept(lab, people, found, right),),
        cost=lab.cost,
    )


def certified(lab: Lab, people: Population, *, wanted: float) -> Certificates:
    """Votes until each input's radius is above or below ``wanted``, or the votes are spent."""
    sigma, count = lab.number("sigma") * people.span, len(people.labels)
    classes = int(lab.target()["classes"])
    first = _asked(lab, people.inputs, sigma, CHOOSING, 0)
    chosen = np.array([np.bincount(row, minlength=classes).argmax() for row in first])
    wins, trials = np.zeros(count, np.int64), np.zeros(count, np.int64)
    open_ = np.arange(count)
    number = 0
    while len(open_) and number * ROUND < lab.count("votes"):
        number += 1
        share = min(ROUND, lab.count("votes") - (number - 1) * ROUND)
        given = _asked(lab, people.inputs[open_], sigma, share, number)
        wins[open_] += (given == chosen[open_, None]).sum(axis=1)
        trials[open_] += share
        low, high = rate_bounds(wins[open_], trials[open_], ALPHA)
        open_ = open_[(radius_of(low, sigma) < wanted) & (radius_of(high, sigma) >= wanted)]
    low, _ = rate_bounds(wins, trials, ALPHA)
    return Certificates(chosen, radius_of(low, sigma), trials + CHOOSING)


def radius_of(share: Array, sigma: float) -> Array:
    """Returns the certified radius of a class with at least this share of votes (theorem 1)."""
    radius: Array = sigma * special.ndtri(np.clip(share, 0.5, 1 - 1e-12))
    return radius


def _asked(lab: Lab, inputs: Array, sigma: float, draws: int, round_: int) -> Array:
    reply = lab.run(
        "attacks.evasion.smoothing.votes",
        {"inputs": inputs},
        sigma=sigma,
        draws=draws,
        round_=round_,
        seed=lab.seed,
    )
    given = reply.arrays["classes"]
    if given.shape != (len(inputs), draws):
        return np.full((len(inputs), draws), -1)  # nonsense is a vote for nobody
    return given


def _controls(lab: Lab) -> tuple[Control, ...]:
    """A linear reader of two classes: its exact radius is the distance to its boundary."""
    reply = lab.run("attacks.evasion.smoothing.votes_control", seed=lab.seed)
    arrays, sigma = reply.arrays, float(reply.values["sigma"])
    slope = arrays["weights"][1].astype(np.float64)
    lead = arrays["inputs"].astype(np.float64) @ slope + arrays["bias"][1]
    exact = np.abs(lead) / np.linalg.norm(slope)
    wins = (arrays["classes"] == arrays["labels"][:, None]).sum(axis=1)
    low, _ = rate_bounds(wins, np.full(len(wins), arrays["classes"].shape[1]), CONTROL_ALPHA)
    radius = radius_of(low, sigma)
    deep = exact > 0.5 * sigma
    enough, too_much = radius[deep] >= KEPT * exact[deep], radius > exact
    return (
        Control(
            name="linear reader, most of the exact radius",
            planted=True,
            found=bool(enough.mean() >= 0.8),
            estimate=binomial(int(enough.sum()), len(enough)),
            detail=f"{int(enough.sum())} of {len(enough)} radii reach half of the exact one",
        ),
        Control(
            name="linear reader, never more than the exact radius",
            planted=False,
            found=bool(too_much.any()),
            estimate=binomial(int(too_much.sum()), len(too_much)),
            detail=f"{int(too_much.sum())} of {len(too_much)} radii exceed the exact one",
        ),
    )


def _kept(lab: Lab, people: Population, found: Certificates, right: Array) -> Artifact:
    """Keeps the share of inputs that are certain, by length of change."""
    radius = np.where(right, found.radius, 0) / people.span
    lengths = np.linspace(0, max(float(radius.max()), 1e-9), 21)
    rows = [
        {"change": float(at), "certified_accuracy": float((right & (radius >= at)).mean())}
        for at in lengths
    ]
    return lab.keep(
        "certified.json",
        title="Share of inputs that no change can turn, by its length",
        media_type="application/json",
        data=json.dumps(rows, sort_keys=True).encode(),
    )
