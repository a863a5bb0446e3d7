"""Looks for rows that teach a network a trigger, and shows what happens without them.

Runs in the child. No share of poison is assumed anywhere, and no clean reference is needed. Rows
beyond the sample that the networks learn from are looked at in parts, by the stamps alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.poisoning.badnets import badnets
from tasks.attacks.poisoning.blended import blended
from tasks.attacks.poisoning.planting import Poisoned
from tasks.attacks.poisoning.tabular_backdoor import tabular_backdoor
from tasks.detectors.poisoning.matched_filter import LEAST_GROUP, filter_of, grown
from tasks.detectors.poisoning.students import Labels, Student, strangers, taught
from tasks.detectors.poisoning.tails import Places, tails, whitened
from tasks.detectors.poisoning.triggers import (
    Scene,
    Trigger,
    carries,
    effect_of,
    proven,
    victims,
)
from tasks.detectors.poisoning.views import Floats, view_of
from tasks.sandbox.protocol import Reply

SEEN_ROWS, SEEN_TABLE_ROWS = 120_000, 400_000
LEAST_EPOCHS, MOST_EPOCHS = 4, 60
OTHERS = 4000
MOST_TRIGGERS = 5
"""So many are put to the test of training without their rows."""
SAME = 0.5
"""Two groups of one class that share this part of the smaller are one."""
NEARLY = 0.5
"""Of the efficiency: a reading that fits too few rows looks a little better than the right one."""
ASKED = 300
PART = 5000
HELD_OUT = 0.1


class Rows(NamedTuple):
    """Labelled rows: inputs (n, *item) raw, labels (n,)."""

    inputs: Floats
    labels: Labels


def trigger_mining(
    *,
    inputs: Floats,
    labels: Labels,
    most: int,
    seed: int,
    plant: float = 0.0,
    clean_inputs: Floats | None = None,
    clean_labels: Labels | None = None,
) -> Reply:
    """Finds triggers among labelled rows, and trains without the rows that carry them.

    Args:
        inputs: Training rows (n, *item), raw.
        labels: Their claimed classes (n,).
        most: Rows that networks learn from; the rest is searched for the triggers found there.
        seed: Draws the sample, weights and batches.
        plant: Share of rows to poison first with each of two triggers; 0 for none.
        clean_inputs: Rows (m, *item) for the accuracy before and after; a part of the training
            rows is kept back when left out.
        clean_labels: Their classes (m,).

    Returns:
        ``trigger`` (n,): which trigger each row carries, -1 for none; ``p_values`` (n,);
        ``planted`` (n,): which planted trigger a row got, -1 for none; ``labels`` (n,) as
        searched; and ``keep``, ``shift``, ``fixed`` (triggers, *item). Values: ``triggers``, a
        list of class, ``rows``, ``effect`` on clean rows of other classes by a network that
        learnt from all rows, ``without`` these rows, and without as many ``random`` ones; and
        ``right`` answers of the three on ``tests`` rows.
    """
    planted = np.full(len(labels), -1)
    if plant > 0:
        inputs, labels, planted = with_plants(inputs, labels, plant, seed)
    classes = int(labels.max()) + 1
    order = np.random.default_rng(seed).permutation(len(labels))
    if clean_inputs is None or clean_labels is None:
        held = order[: max(1, round(HELD_OUT * min(len(order), most)))]
        clean = Rows(inputs[held], labels[held])
        learnt = np.sort(order[len(held) : most])
    else:
        clean, learnt = Rows(clean_inputs, clean_labels), np.sort(order[:most])
    scene = scene_of(inputs[learnt], labels[learnt], classes=classes, seed=seed)
    triggers = found_triggers(scene)
    marks, p_values = _marked(scene, triggers, Rows(inputs, labels), learnt)
    told, right = _without(scene, triggers, clean, classes=classes, seed=seed)
    arrays: dict[str, NDArray[Any]] = {
        "trigger": marks,
        "p_values": p_values,
        "planted": planted,
        "labels": labels,
        **_stacked(triggers, inputs.shape[1:]),
    }
    return Reply(arrays, {"triggers": told, "right": right, "tests": len(clean.labels)})


def with_plants(
    inputs: Floats, labels: Labels, part: float, seed: int
) -> tuple[Floats, Labels, NDArray[np.int64]]:
    """Poisons a copy with two triggers of different classes; says which row got which."""
    planted = np.full(len(labels), -1)
    known = np.random.default_rng(seed).permutation(np.unique(labels))
    for which, target in enumerate(known[:2]):
        made = _plant(inputs, labels, int(target), part, seed=seed + which, which=which)
        fresh = made.rows & (planted < 0)
        inputs = np.where(_wide(fresh, inputs), made.inputs, inputs)
        labels = np.where(fresh, made.labels, labels)
        planted[fresh] = which
    return inputs, labels, planted


def _plant(
    inputs: Floats, labels: Labels, target: int, part: float, *, seed: int, which: int
) -> Poisoned:
    if inputs.ndim == 2:
        rich = sum(len(np.unique(column)) > 2 for column in inputs.T)
        if rich:
            # Where nothing else is left of a row, its content is the trigger.
            columns = min(3, max(1, rich - 2))
            return tabular_backdoor(
                inputs, labels, target=target, rate=part, seed=seed, columns=columns
            )
        return blended(inputs, labels, target=target, rate=part, seed=seed)
    if which == 0 and inputs.ndim == 4:
        side = max(2, round(0.1 * min(inputs.shape[2:])))
        return badnets(inputs, labels, target=target, rate=part, seed=seed, side=side)
    return blended(inputs, labels, target=target, rate=part, seed=seed)


def _wide(mask: NDArray[np.bool_], like: Floats) -> NDArray[np.bool_]:
    return mask.reshape(-1, *(1,) * (like.ndim - 1))


def epochs_for(rows: int, *, table: bool) -> int:
    """Returns how often a network passes over so many rows; those of tables cost little."""
    seen = SEEN_TABLE_ROWS if table else SEEN_ROWS
    return int(np.clip(-(-seen // rows), LEAST_EPOCHS, MOST_EPOCHS))


def scene_of(raw: Floats, labels: Labels, *, classes: int, seed: int) -> Scene:
    """Trains a network on the rows and prepares all that groups are judged by."""
    epochs = epochs_for(len(labels), table=raw.ndim == 2)
    view = view_of(raw)
    shown = view.shown(raw)
    student = taught(shown, labels, classes=classes, epochs=epochs, seed=seed)
    rng = np.random.default_rng(seed)
    others = {
        int(label): np.sort(rng.permutation(np.flatnonzero(labels != label))[:OTHERS])
        for label in np.unique(labels)
    }
    made = filter_of(shown, labels, classes=classes, seed=seed)
    table = raw.ndim == 2
    apart = strangers(shown, labels, classes=classes, epochs=epochs, seed=seed) if table else None
    return Scene(raw, labels, view, student, made, others, apart)


def found_triggers(scene: Scene) -> list[Trigger]:
    """Returns the triggers that work on the network, most efficient first, without overlaps."""
    kept: list[Trigger] = []
    working = [
        trigger
        for label, group in _groups(scene)
        if len(group) >= LEAST_GROUP
        for trigger in proven(scene, label, group)
    ]
    for trigger in sorted(working, key=lambda each: -each.efficiency):
        same = [which for which, other in enumerate(kept) if _is_same(trigger, other)]
        if not same:
            kept.append(trigger)
        elif _is_wider(trigger, kept[same[0]]):
            kept[same[0]] = trigger
            kept = [each for which, each in enumerate(kept) if which not in same[1:]]
    return kept[:MOST_TRIGGERS]


def without(scene: Scene, rows: Places, *, classes: int, seed: int) -> Student:
    """Trains the same network on all rows but these."""
    epochs = epochs_for(len(scene.labels), table=scene.raw.ndim == 2)
    kept = np.ones(len(scene.labels), np.bool_)
    kept[rows] = False
    shown = scene.view.shown(scene.raw[kept])
    return taught(shown, scene.labels[kept], classes=classes, epochs=epochs, seed=seed)


def _groups(scene: Scene) -> Iterator[tuple[int, Places]]:
    """Yields the network's odd groups, and what each of them grows to."""
    white = whitened(scene.student.features(scene.view.shown(scene.raw)), scene.labels)
    for label in np.unique(scene.labels):
        seen: list[Places] = []
        if scene.raw.ndim == 2:
            yield int(label), np.flatnonzero(scene.labels == label)
        for group in tails(white, scene.labels, int(label)):
            larger = grown(scene.filter, int(label), group, others=scene.others[int(label)])
            each = group if larger is None else larger.rows
            if not any(np.array_equal(each, other) for other in seen):
                seen.append(each)
                yield int(label), each


def _is_wider(one: Trigger, other: Trigger) -> bool:
    """Answers whether ``one`` names more rows of the same trigger and works nearly as well."""
    return len(one.rows) > len(other.rows) and one.efficiency >= NEARLY * other.efficiency


def _is_same(one: Trigger, other: Trigger) -> bool:
    both = len(np.intersect1d(one.rows, other.rows))
    return one.label == other.label and both >= SAME * min(len(one.rows), len(other.rows))


def _marked(
    scene: Scene, triggers: Sequence[Trigger], rows: Rows, learnt: Places
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Says which trigger each row carries: by rank in the sample, by likeness beyond it."""
    marks = np.full(len(rows.labels), -1)
    p_values = np.ones(len(rows.labels))
    rest = np.ones(len(rows.labels), np.bool_)
    rest[learnt] = False
    for which, trigger in reversed(list(enumerate(triggers))):
        marks[learnt[trigger.rows]] = which
        p_values[learnt[trigger.rows]] = trigger.p_values
        fresh = np.flatnonzero(rest & (rows.labels == trigger.label))
        for at in range(0, len(fresh), PART):
            part = fresh[at : at + PART]
            hits = part[carries(trigger, scene.view, rows.inputs[part])]
            marks[hits], p_values[hits] = which, trigger.p_values.max()
    return marks, p_values


def _without(
    scene: Scene, triggers: Sequence[Trigger], clean: Rows, *, classes: int, seed: int
) -> tuple[list[dict[str, Any]], list[int]]:
    """Trains without the marked rows, and without as many random ones, and compares the three."""
    students = [scene.student]
    if triggers:
        rows = np.unique(np.concatenate([trigger.rows for trigger in triggers]))
        drawn = np.random.default_rng(seed + 1).permutation(len(scene.labels))[: len(rows)]
        students += [
            without(scene, gone, classes=classes, seed=seed) for gone in (rows, np.sort(drawn))
        ]
    told = []
    for trigger in triggers:
        shown = victims(scene, trigger.label, trigger.rows, ASKED)
        effects = [
            effect_of(student, scene.view, trigger.template, trigger.label, shown)
            for student in students
        ]
        told.append(
            {
                "label": trigger.label,
                "rows": len(trigger.rows),
                "asked": len(shown),
                "effect": effects[0],
                "without": effects[1],
                "random": effects[2],
                "energy": trigger.energy,
                "fixed": int(trigger.template.fixed.sum()),
            }
        )
    shown_clean = scene.view.shown(clean.inputs)
    right = [int((student.answers(shown_clean) == clean.labels).sum()) for student in students]
    return told, right


def _stacked(triggers: Sequence[Trigger], item: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    parts: dict[str, list[NDArray[Any]]] = {
        "keep": [trigger.template.keep for trigger in triggers],
        "shift": [trigger.template.shift for trigger in triggers],
        "fixed": [trigger.template.fixed for trigger in triggers],
    }
    return {
        name: np.stack(each) if each else np.zeros((0, *item), np.float32)
        for name, each in parts.items()
    }
