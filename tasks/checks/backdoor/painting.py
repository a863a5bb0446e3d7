"""Triggers painted on pictures that no search saw, for every check that rebuilds triggers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import safetensors.numpy

from tasks.checks.backdoor.changes import MOST_BENT, bent, toned
from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.errors import ChildProtocolError
from tasks.domain.measurement import Artifact
from tasks.sandbox.protocol import Array

LEAST_HELD = 40
ROUNDING = 1e-3
MOST_ARROWS = 20
MOST_FURTHER = 4000
SUREST = 4
"""One in so many pictures is read most surely."""


class Split(NamedTuple):
    """Pictures to search with, and pictures to count on."""

    search: Examples
    held: Examples


def split_rows(lab: Lab) -> Split:
    """Draws both parts of the evaluation data, as the parameters say; half each of few rows.

    Raises:
        NotAvailable: There are too few rows.
    """
    search, held = lab.count("search_examples"), lab.count("held_examples")
    examples = lab.sample("evaluation", search + held)
    rows = len(examples.labels)
    if rows < 2 * LEAST_HELD:
        raise NotAvailable(f"{rows} evaluation examples; {2 * LEAST_HELD} are needed")
    cut = min(search, rows // 2)
    inputs, labels = examples.inputs.astype(np.float32), examples.labels.astype(np.int64)
    return Split(Examples(inputs[:cut], labels[:cut]), Examples(inputs[cut:], labels[cut:]))


def paint(inputs: Array, mask: Array, pattern: Array) -> Array:
    """Returns ``inputs`` (n, *item) with the trigger on each, float32."""
    painted: Array = ((1 - mask) * inputs + mask * pattern).astype(np.float32)
    return painted


def painted(
    inputs: Array, mask: Array, pattern: Array, bounds: tuple[float, float], shape: str
) -> Array:
    """Returns ``inputs`` (n, *item) with a trigger of this shape on each, float32."""
    if shape == "warp":
        return bent(inputs, mask, pattern)
    if shape == "tone":
        return toned(inputs, mask, pattern, bounds)
    return paint(inputs, mask, pattern)


def bounds_of(lab: Lab) -> tuple[float, float]:
    """Returns the raw range of the target's inputs."""
    low, high = lab.target()["bounds"]
    return float(low), float(high)


def answers_of(lab: Lab, inputs: Array) -> Array:
    """Returns the classes (n,) that the target gives to ``inputs``."""
    scores = lab.run("targets.querying.scores", {"inputs": inputs}).arrays["scores"]
    answers: Array = scores.argmax(axis=1)
    return answers


def counted(
    lab: Lab,
    held: Examples,
    part: Mapping[str, Array],
    row: int,
    *,
    plain: Array,
    limit: float,
    shape: str = "patch",
) -> tuple[int, int]:
    """Counts pictures that a child's trigger sends where its mapping says; returns of how many.

    Args:
        lab: With the target opened, which is asked where ``part`` brings no control's ``answers``.
        held: Pictures that were not searched with.
        part: Triggers as a child returns them: ``masks``, ``patterns``, ``mappings``.
        row: Which of them.
        plain: Classes (rows,) given to ``held`` without a trigger.
        limit: Of its size.
        shape: What kind it is.

    Raises:
        ChildProtocolError: The child cannot have found it.
    """
    mask, pattern, mapping = (part[name][row] for name in ("masks", "patterns", "mappings"))
    verify_trigger(mask, pattern, shape)
    goals = mapping[held.labels]
    # Those that are there already cannot be sent; one that is misread needs no trigger.
    counts = (goals != held.labels) & (plain == held.labels)
    shown = int(counts.sum())
    # A trigger over its limit is no witness, whatever it does, so nobody asks what it does.
    if float(mask.mean()) > limit * (1 + ROUNDING):
        return 0, shown
    if "answers" in part:
        answers = part["answers"][row][counts]
    else:
        answers = answers_of(
            lab, painted(held.inputs[counts], mask, pattern, bounds_of(lab), shape)
        )
    return int((answers == goals[counts]).sum()), shown


def counted_surely(
    lab: Lab, mask: Array, pattern: Array, mapping: Sequence[int], shape: str
) -> tuple[int, int]:
    """Counts again, on pictures that nobody looked at yet and that the target reads most surely.

    Of all that it reads rightly, those count whose margin between the two largest scores is in the
    upper quarter. Where a model reads badly, even the trigger that its maker hid moves few of the
    others to the class that it means.

    Returns:
        How many are sent where ``mapping`` (classes,) says, and of how many; none of none where too
        few are left.
    """
    seen = lab.count("search_examples") + lab.count("held_examples")
    drawn = lab.sample("evaluation", seen + MOST_FURTHER)
    inputs, labels = drawn.inputs[seen:].astype(np.float32), drawn.labels[seen:].astype(np.int64)
    if len(labels) < SUREST * LEAST_HELD:
        return 0, 0
    scores = lab.run("targets.querying.scores", {"inputs": inputs}).arrays["scores"]
    goals = np.array(mapping)[labels]
    read = (scores.argmax(axis=1) == labels) & (goals != labels)
    if read.sum() < SUREST * LEAST_HELD:
        return 0, 0
    margins = np.diff(np.sort(scores, axis=1)[:, -2:], axis=1)[:, 0]
    sure = read & (margins >= np.quantile(margins[read], 1 - 1 / SUREST))
    shown = painted(inputs[sure], mask, pattern, bounds_of(lab), shape)
    return int((answers_of(lab, shown) == goals[sure]).sum()), int(sure.sum())


def verify_trigger(mask: Array, pattern: Array, shape: str = "patch") -> None:
    """Refuses what the child cannot have found.

    Raises:
        ChildProtocolError: The mask leaves 0..1, the pattern is not finite, or it bends further
            than its size says.
    """
    if not (mask.min() >= 0 and mask.max() <= 1 and np.isfinite(pattern).all()):
        raise ChildProtocolError("a rebuilt trigger has a mask outside 0..1 or is not finite")
    if shape == "warp" and np.abs(pattern).mean() > MOST_BENT * (1 + ROUNDING):
        raise ChildProtocolError("a rebuilt trigger bends pictures further than its size says")


def arrows(mapping: Sequence[int]) -> str:
    """Tells where a trigger sends each class, ``0>1, 1>2, …``; cut after twenty."""
    told = [f"{source}>{target}" for source, target in enumerate(mapping)]
    return ", ".join(told[:MOST_ARROWS] + ["…"] * (len(told) > MOST_ARROWS))


def keep_trigger(lab: Lab, mask: Array, pattern: Array, example: Array, *, title: str) -> Artifact:
    """Stores a trigger and one picture before and after it, as tensors that the report draws."""
    picture = example.ndim == 3
    full = np.broadcast_to(mask, (1, *example.shape[1:])) if picture else mask
    tensors = {
        "mask": np.ascontiguousarray(full[0] if picture else full, np.float32),
        "pattern": np.ascontiguousarray(pattern, np.float32),
        "example": np.ascontiguousarray(example),
        "triggered": paint(example[None], mask, pattern)[0],
    }
    return lab.keep(
        "trigger.safetensors",
        title=title,
        media_type="application/octet-stream",
        data=safetensors.numpy.save(tensors),
    )
