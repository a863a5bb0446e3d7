"""How many pictures keep their class when a small square of them may hold anything.

Sources: Brown et al. 2017, arXiv 1712.09665; Rao et al. 2020, arXiv 2005.02313. One printed sticker
for all pictures is tried first, then one made for each picture at the place where it hurts most.
"""

import json
from typing import NamedTuple

import numpy as np

from tasks.attacks.corruptions.picture import Layout
from tasks.checks.evasion.corruptions import pictures_of
from tasks.checks.evasion.doubts import about_answers
from tasks.checks.evasion.referee import (
    Flags,
    Population,
    about_escapes,
    judged,
    population,
)
from tasks.checks.evasion.witnesses import kept_witnesses
from tasks.checks.lab import Lab
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import binomial

CHECK, VERSION = "evasion.patch", 1
PLACES = 3


class Sticker(NamedTuple):
    """One patch for all pictures: who of the pictures it was not made on fell to it."""

    tried: Array
    fallen: Array
    witnesses: Array


def measure(lab: Lab) -> Measurement:
    """Makes a sticker on half of the pictures, tries it on the others, then attacks one by one."""
    layout = pictures_of(lab)
    people = population(lab, points=lab.count("points"), access="gradients")
    side = max(1, round(lab.number("side") * min(layout.sides)))
    standing, witnesses = people.correct.copy(), people.inputs.copy()
    sticker = _sticker(lab, people, layout, side)
    standing[sticker.fallen], witnesses[sticker.fallen] = False, sticker.witnesses
    rows = np.flatnonzero(standing)
    reply = lab.run(
        "attacks.evasion.patch",
        {"inputs": people.inputs[rows], "labels": people.labels[rows]},
        side=side,
        steps=lab.count("steps"),
        places=PLACES,
        seed=lab.seed,
    )
    claimed = reply.arrays["candidates"]
    result = judged(
        lab, people, rows, claimed, obeys=in_square(claimed, people.inputs[rows], layout, side)
    )
    fallen = rows[result.held]
    standing[fallen], witnesses[fallen] = False, result.moved[result.held]
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"{int(people.correct.sum())} of {len(people.labels)} pictures are read correctly, "
            f"{int(standing.sum())} with any patch of {side} by {side} pixels that was found; one "
            f"sticker at random places misleads {len(sticker.fallen)} of {len(sticker.tried)}."
        ),
        estimates={
            "robust_accuracy": binomial(int(standing.sum()), len(people.labels)),
            "clean_accuracy": binomial(int(people.correct.sum()), len(people.labels)),
            **_rate(sticker),
        },
        controls=_controls(layout, side),
        alarms=tuple(about_answers(people.described) + about_escapes(result.escaped)),
        limits=tuple(str(note) for note in people.described.get("notes", ())),
        method=(
            "A sticker trained at random places and tried on other pictures; then sign ascent "
            "inside a square per picture, at the places where a grey square lowers the lead most. "
            "What changed outside one square is not counted."
        ),
        facts={
            "points": len(people.labels),
            "correct": int(people.correct.sum()),
            "standing": int(standing.sum()),
            "side_pixels": side,
            "fell_to_sticker": len(sticker.fallen),
            "fell_to_own_patch": len(fallen),
        },
        artifacts=(
            *kept_witnesses(lab, people, people.correct & ~standing, witnesses),
            _places(lab, people, witnesses, layout),
        ),
        cost=lab.cost,
    )


def in_square(moved: Array, clean: Array, layout: Layout, side: int) -> Flags:
    """Answers which pictures changed inside one square of ``side`` pixels only (n,)."""
    obeys = np.zeros(len(clean), dtype=bool)
    if moved.shape != clean.shape:
        return obeys
    for row, box in enumerate(_boxes(moved, clean, layout)):
        top, left, bottom, right = box
        obeys[row] = bottom - top <= side and right - left <= side
    return obeys


def _boxes(moved: Array, clean: Array, layout: Layout) -> list[tuple[int, int, int, int]]:
    """Returns top, left, bottom and right of what changed in each picture; all 0 if nothing."""
    boxes = []
    for after, before in zip(moved, clean, strict=True):
        changed = (layout.picture(after) != layout.picture(before)).any(axis=0)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        if len(rows):
            boxes.append((int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1))
        else:
            boxes.append((0, 0, 0, 0))
    return boxes


def _sticker(lab: Lab, people: Population, layout: Layout, side: int) -> Sticker:
    """Trains one patch on the first half of the correct pictures, tries it on the second."""
    rows = np.flatnonzero(people.correct)
    made_on, tried = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    nothing = Sticker(tried[:0], tried[:0], people.inputs[:0])
    if not len(made_on):
        return nothing
    reply = lab.run(
        "attacks.evasion.patch.universal_patch",
        {"inputs": people.inputs[made_on], "labels": people.labels[made_on]},
        side=side,
        steps=lab.count("steps"),
        seed=lab.seed,
    )
    patch = reply.arrays["patch"]
    height, width = layout.sides
    shape = (people.inputs[0].size // (height * width), min(side, height), min(side, width))
    if patch.shape != shape or not np.isfinite(patch).all():
        return nothing
    rng = np.random.default_rng([lab.seed, side])
    tops, lefts = (
        rng.integers(0, length - part + 1, len(tried))
        for length, part in zip(layout.sides, shape[1:], strict=True)
    )
    moved = people.inputs[tried].copy()
    for row, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        picture = layout.picture(moved[row])
        picture[:, top : top + shape[1], left : left + shape[2]] = np.clip(patch, 0, 1)
        moved[row] = layout.item(picture)
    result = judged(lab, people, tried, moved)
    return Sticker(tried, tried[result.held], result.moved[result.held])


def _rate(sticker: Sticker) -> dict[str, Estimate]:
    if not len(sticker.tried):
        return {}
    return {"sticker_success": binomial(len(sticker.fallen), len(sticker.tried))}


def _controls(layout: Layout, side: int) -> tuple[Control, ...]:
    """The rule itself: a change inside one square is let through, one outside is not."""
    clean = np.full((1, *layout.shape), (layout.low + layout.high) / 2, np.float32)
    picture = layout.picture(clean[0])
    inside, outside = picture.copy(), picture.copy()
    inside[:, :side, :side] = 1
    outside[:, 0, 0] = outside[:, -1, -1] = 1
    allowed, refused = (
        bool(in_square(layout.item(each)[None], clean, layout, side)[0])
        for each in (inside, outside)
    )
    whole = side >= max(layout.sides)
    return (
        Control(
            name="change inside the square",
            planted=True,
            found=allowed,
            detail="a square of another shade in one corner obeys the rule",
        ),
        Control(
            name="change in two corners",
            planted=False,
            found=refused and not whole,
            detail="pixels in opposite corners do not fit one square",
        ),
    )


def _places(lab: Lab, people: Population, witnesses: Array, layout: Layout) -> Artifact:
    boxes = _boxes(witnesses, people.inputs, layout)
    rows = [dict(zip(("top", "left", "bottom", "right"), box, strict=True)) for box in boxes]
    return lab.keep(
        "places.json",
        title="Where the patch that misled each picture lies",
        media_type="application/json",
        data=json.dumps(rows, sort_keys=True).encode(),
    )
