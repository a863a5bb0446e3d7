"""From a suspicious group to a trigger with a proof: stamp what the group shares on other rows.

A group of rows that merely looks odd moves nobody. What a backdoor's rows share, laid on clean rows
of other classes, makes a network that learnt from them say their class. Only groups whose stamp
does so, without replacing the content, are triggers; each row is then scored by the stamp alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.poisoning.matched_filter import (
    LEAST_GROUP,
    MOST_PART,
    Filter,
    blocks,
    flagged,
    grown,
)
from tasks.detectors.poisoning.students import Labels, Scores, Strangers, Student
from tasks.detectors.poisoning.tails import Places
from tasks.detectors.poisoning.templates import (
    LARGEST,
    STEADY,
    Template,
    picture_templates,
    table_templates,
)
from tasks.detectors.poisoning.views import Floats, View
from tasks.statistics.multiple import tailed_p_values

ASKED = 150
"""Clean rows of other classes that are stamped to see what the network says."""
CONTENT = 500
LEAST_EFFECT = 0.25
"""Part of the stamped rows that must change to the group's class."""
LEAST_LEAD = 0.15
"""So much more must change than under the class's own mean, laid on as strongly."""
MOST_EXPLAINED = 0.5
"""Rows of a table that look more like their own class than like others are no poison."""
WIDER = 1.2
"""A column marks rows if without it so many times more would fit."""
SMALL = 0.05
"""Energy below which stamps count as equally small."""
ROUNDS = 3
AS_STEADY = 3.0
"""Rows further from the stamp than so many times the median row only resemble it (white skies)."""
EXACT = 1e-6


class Scene(NamedTuple):
    """All that is known of the rows: raw (n, *item), labels (n,), and how each is looked at."""

    raw: Floats
    labels: Labels
    view: View
    student: Student
    filter: Filter
    others: dict[int, Places]
    """For each class: places of a sample of rows of other classes."""
    strangers: Strangers | None
    """Of tables only, where a network of ours may know rows by heart."""


class Trigger(NamedTuple):
    """A proven trigger: its class, the rows (places) that carry it, and what it does."""

    label: int
    rows: Places
    template: Template
    effect: float
    """Part of clean rows of other classes that turn to ``label`` when stamped, above the base."""
    p_values: Scores
    """For each row in ``rows``."""
    energy: float
    """Of the stamp (see :meth:`Template.energy`); in tables, how far the rows look like their class
    without it."""
    weights: Floats | None
    """Linear detector of an overlay; None where values are fixed."""
    least: float
    """Lowest score of a row that carries it."""

    @property
    def efficiency(self) -> float:
        """What it does for how little it changes: high for triggers, low for content.

        In tables what it does that content does not explain: of two readings of one trigger the
        wider must not lose for a column that is part of it and common as well.
        """
        if self.template.fixed.ndim == 1:
            return self.effect * (1 - self.energy)
        return self.effect / (self.energy + SMALL)


def proven(scene: Scene, label: int, group: Places) -> list[Trigger]:
    """Returns the triggers behind a group of rows of one class: several in tables, else one."""
    if scene.raw.ndim == 2:
        return _working(scene, label, group)
    best: Trigger | None = None
    for _ in range(ROUNDS):
        found = max(_working(scene, label, group), key=lambda each: each.efficiency, default=None)
        if found is None:
            break
        best = max(best or found, found, key=lambda each: each.efficiency)
        if np.array_equal(found.rows, np.sort(group)):
            break
        group = found.rows
    return [] if best is None else [best]


def carries(trigger: Trigger, view: View, raw: Floats) -> NDArray[np.bool_]:
    """Answers for fresh rows (n, *item) of the trigger's class whether they carry it."""
    return _likeness(trigger.template, trigger.weights, view, raw) >= trigger.least - 1e-9


def effect_of(student: Student, view: View, template: Template, label: int, clean: Floats) -> float:
    """Returns the part of clean rows (n, *item) that turn to ``label`` when stamped."""
    before = (student.answers(view.shown(clean)) == label).mean()
    after = (student.answers(view.shown(template.stamped(clean))) == label).mean()
    return float(after - before)


def victims(scene: Scene, label: int, group: Places, count: int) -> Floats:
    """Returns raw rows of other classes, in the mix that the content of the group has."""
    rows: Floats = scene.raw[_victim_places(scene, label, group, count)]
    return rows


def _victim_places(scene: Scene, label: int, group: Places, count: int) -> Places:
    weights = content_mix(scene.filter, label, group)
    places = scene.others[label]
    each = weights[scene.labels[places]]
    if not each.sum():
        return places[:count]
    most = min(count, int((each > 0).sum()))
    drawn: Places = np.random.default_rng(label).choice(
        places, most, replace=False, p=each / each.sum()
    )
    return drawn


def content_mix(filter_: Filter, label: int, group: Places) -> Scores:
    """Returns weights of the other classes' rows by how many of the group's rows they resemble."""
    members, centres = filter_.rows[group[:500]], filter_.means
    squares = (centres**2).sum(1) - 2 * members @ centres.T
    squares[:, label] = np.inf
    near = np.bincount(squares.argmin(1), minlength=len(centres)).astype(np.float64)
    near[near < 0.05 * len(members)] = 0
    sizes = np.maximum(np.bincount(filter_.labels, minlength=len(centres)), 1)
    weights: Scores = near / sizes
    return weights


def _working(scene: Scene, label: int, group: Places) -> list[Trigger]:
    """Returns every reading of the group that works as a trigger and names a part of the class."""
    places = _victim_places(scene, label, group, CONTENT)
    most = MOST_PART * int((scene.labels == label).sum())
    tried = [
        _tried(scene, label, group, template, places)
        for template in _templates(scene, group, scene.raw[places])
    ]
    return [each for each in tried if each is not None and LEAST_GROUP <= len(each.rows) <= most]


def _templates(scene: Scene, group: Places, content: Floats) -> list[Template]:
    if scene.raw.ndim == 2:
        return table_templates(scene.raw[group], content)
    low, high = float(scene.raw.min()), float(scene.raw.max())
    return picture_templates(scene.raw[group], content, low, high)


def _tried(
    scene: Scene, label: int, group: Places, template: Template, places: Places
) -> Trigger | None:
    clean = scene.raw[places[:ASKED]]
    effect = effect_of(scene.student, scene.view, template, label, clean)
    energy = _energy(scene, label, template, places, effect)
    if effect < LEAST_EFFECT or energy is None:
        return None
    if not template.fixed.any():
        settled = grown(scene.filter, label, group, others=scene.others[label])
        if settled is None:
            return None
        rows, p_values, weights, least = settled
        return Trigger(label, rows, template, effect, p_values, energy, weights, least)
    own = np.flatnonzero(scene.labels == label)
    scores = -template.misfit(scene.raw[own])
    null = -template.misfit(scene.raw[scene.others[label]])
    marked = flagged(scores, null) & (scores >= -STEADY)
    if not marked.any():
        return None
    marked &= as_steady(-scores, marked)
    p_values, least = tailed_p_values(scores[marked], null), float(scores[marked].min())
    return Trigger(label, own[marked], template, effect, p_values, energy, None, least)


def as_steady(misfits: Scores, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Answers which rows (n,) hold a stamp about as exactly as the median marked row does."""
    usual = float(np.median(misfits[marked]))
    return np.asarray(misfits <= max(AS_STEADY * usual, EXACT))


def _explained(scene: Scene, label: int, template: Template, places: Places) -> float:
    """Returns how far rows with the stamped values look like their class for other reasons.

    What marks the rows is taken from them: those columns are filled from rows of other classes. 0:
    they are then read as the class no oftener than rows of other classes; 1: as its own rows are.
    """
    assert scene.strangers is not None, "tables have them"
    own = np.flatnonzero(scene.labels == label)
    carriers = own[template.misfit(scene.raw[own]) == 0][: 2 * ASKED]
    if not len(carriers):
        return 1.0
    drawn = places[np.random.default_rng(label).integers(0, len(places), len(carriers))]
    marking = _marking(template, scene.raw[own])
    neutral = np.where(marking, scene.raw[drawn], scene.raw[carriers]).astype(np.float32)
    usual = own[: 4 * ASKED]
    read, low, high = (
        float((scene.strangers.answers(scene.view.shown(rows), whose) == label).mean())
        for rows, whose in (
            (neutral, carriers),
            (scene.raw[places], places),
            (scene.raw[usual], usual),
        )
    )
    return float(np.clip((read - low) / max(high - low, 1e-6), 0, 1))


def _marking(template: Template, own: Floats) -> NDArray[np.bool_]:
    """Returns the columns without which the stamped values would fit many more rows.

    And those whose value hardly any row has that is not stamped: each marks the rows by itself.
    """
    same = own == template.shift
    left = template.fixed.copy()
    count = int(same[:, left].all(1).sum())
    for place in np.flatnonzero(template.fixed)[np.argsort(-same[:, template.fixed].mean(0))]:
        fewer = left.copy()
        fewer[place] = False
        if fewer.any() and same[:, fewer].all(1).sum() <= WIDER * count:
            left = fewer
    alone: NDArray[np.bool_] = template.fixed & (same.sum(0) <= WIDER * count)
    return left | alone


def _likeness(template: Template, weights: Floats | None, view: View, raw: Floats) -> Scores:
    if weights is None:
        return -template.misfit(raw)
    likeness: Scores = (blocks(view.shown(raw)).reshape(len(raw), -1) @ weights).astype(np.float64)
    return likeness


def _energy(
    scene: Scene, label: int, template: Template, places: Places, effect: float
) -> float | None:
    """Returns how much of the effect is content; None if so much that there is no trigger."""
    content = scene.raw[places]
    if scene.raw.ndim == 2:
        if effect - _usual_effect(scene, label, template, content) < LEAST_LEAD:
            return None
        explained = _explained(scene, label, template, places)
        return explained if explained <= MOST_EXPLAINED else None
    energy = template.energy(content)
    if energy > LARGEST:
        return None
    natural = _natural_effect(scene, label, energy, content[:ASKED])
    return energy if effect - natural >= LEAST_LEAD else None


def _usual_effect(scene: Scene, label: int, template: Template, content: Floats) -> float:
    """Returns what the values of the class's other rows do in the stamped columns.

    Where a column decides the class, any of the class's values in it turns a row; that is a rule of
    the table and no trigger.
    """
    own = scene.raw[scene.labels == label]
    usual = own[template.misfit(own) > 0]
    if not len(usual):
        return 1.0
    drawn = usual[np.random.default_rng(label).integers(0, len(usual), len(content))]
    filled = np.where(template.fixed, drawn, content).astype(np.float32)
    before, after = (
        float((scene.student.answers(scene.view.shown(rows)) == label).mean())
        for rows in (content, filled)
    )
    return after - before


def _natural_effect(scene: Scene, label: int, energy: float, clean: Floats) -> float:
    """Returns what the class's own mean does when it is laid on with the same energy.

    Whoever paints a class over a row gets that class; that is content and no trigger.
    """
    mean = scene.raw[scene.labels == label].mean(0)
    pairs = float(((clean - np.roll(clean, 1, 0)) ** 2).mean())
    reach = float(((clean - mean) ** 2).mean())
    strength = min(1.0, (energy * pairs / max(reach, 1e-12)) ** 0.5)
    keep = np.full(mean.shape, 1 - strength, np.float32)
    low, high = float(scene.raw.min()), float(scene.raw.max())
    overlay = Template(keep, strength * mean, np.zeros(mean.shape, np.bool_), low, high)
    return effect_of(scene.student, scene.view, overlay, label, clean)
