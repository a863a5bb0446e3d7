"""Opinions on every training row, each by a detector of its own. Runs in the child.

Label signals (confident learning, margins, neighbours), cluster signals (SPECTRE, activation
clustering), blends (STRIP; pictures only), repetition and influence. None of them accuses anybody:
the check joins their ranks.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.poisoning.badnets import badnets
from tasks.attacks.poisoning.label_flips import label_flips
from tasks.attacks.poisoning.planting import Poisoned, chosen_rows
from tasks.attacks.poisoning.tabular_backdoor import tabular_backdoor
from tasks.detectors.poisoning.activation_clustering import activation_clustering
from tasks.detectors.poisoning.confident_learning import confident_errors, confident_learning
from tasks.detectors.poisoning.deep_knn import deep_knn
from tasks.detectors.poisoning.influence import influence
from tasks.detectors.poisoning.near_duplicates import near_duplicates
from tasks.detectors.poisoning.spectre import spectre
from tasks.detectors.poisoning.strip import strip
from tasks.detectors.poisoning.students import Labels, Scores, strangers, taught
from tasks.detectors.poisoning.trigger_mining import epochs_for
from tasks.detectors.poisoning.views import Floats, view_of
from tasks.sandbox.protocol import Reply

FLIPPED, PATCHED, REPEATED = 0, 1, 2
SHIFT = 0.01
"""Of the range: how far an injected near-duplicate is moved."""


class Planted(NamedTuple):
    """Rows after planting, and what each got: -1 for nothing (n,)."""

    inputs: Floats
    labels: Labels
    kinds: NDArray[np.int64]


def dossier(*, inputs: Floats, labels: Labels, most: int, seed: int, plant: float = 0.0) -> Reply:
    """Scores a sample of labelled rows by every detector; higher is stranger.

    Args:
        inputs: Training rows (n, *item), raw.
        labels: Their claimed classes (n,).
        most: Rows in the sample.
        seed: Draws the sample, weights, batches and projections.
        plant: Share of the sample to spoil first in each of three ways; 0 for none.

    Returns:
        ``rows`` (m,), places of the sample; one array (m,) for each detector, by its name (no
        ``strip`` of tables, whose blends say nothing);
        ``contradicted`` (m,), whether the confident joint holds the label wrong; ``planted`` (m,);
        ``labels`` and ``read`` (m,), claimed and predicted by a network that did not learn the row.
        Value ``commonplace``: share of rows drawn column by column that seem to be repeats.
    """
    order = np.sort(np.random.default_rng(seed).permutation(len(labels))[:most])
    rows = Planted(inputs[order], labels[order], np.full(len(order), -1))
    if plant > 0:
        rows = spoilt(rows.inputs, rows.labels, plant, seed)
    classes = int(labels.max()) + 1
    shown = view_of(rows.inputs).shown(rows.inputs)
    epochs = epochs_for(len(order), table=inputs.ndim == 2)
    student = taught(shown, rows.labels, classes=classes, epochs=epochs, seed=seed)
    crossed = _crossed(shown, rows.labels, classes=classes, epochs=epochs, seed=seed)
    repeats = near_duplicates(rows.inputs, rows.labels, seed=seed)
    features, fitted = student.features(shown), _probabilities(student.scores(shown))
    arrays: dict[str, NDArray[Any]] = {
        "confident_learning": confident_learning(crossed, rows.labels),
        "margins": -student.margins,
        "deep_knn": deep_knn(features, rows.labels),
        "spectre": spectre(features, rows.labels),
        "activation_clustering": activation_clustering(features, rows.labels),
        "influence": influence(features, fitted, rows.labels, seed=seed),
        "near_duplicates": repeats.twins,
        "contradicted": confident_errors(crossed, rows.labels),
        "rows": order,
        "planted": rows.kinds,
        "labels": rows.labels,
        "read": crossed.argmax(1),
    }
    if inputs.ndim > 2:
        arrays["strip"] = strip(student, shown, rows.labels, seed=seed)
    return Reply(arrays, {"epochs": epochs, "commonplace": repeats.commonplace})


def spoilt(inputs: Floats, labels: Labels, part: float, seed: int) -> Planted:
    """Returns a copy with flipped labels, a trigger, and one row injected many times."""
    kinds = np.full(len(labels), -1)
    target = int(labels[0])
    made = _triggered(inputs, labels, target, part, seed)
    if made is not None:
        inputs, labels = made.inputs, made.labels
        kinds[made.rows] = PATCHED
    flipped = label_flips(inputs, labels, rate=part, seed=seed + 1)
    fresh = flipped.rows & (kinds < 0)
    labels = np.where(fresh, flipped.labels, labels)
    kinds[fresh] = FLIPPED
    again = chosen_rows(labels, kinds < 0, part, seed + 2)
    inputs, labels = inputs.copy(), labels.copy()
    reach = SHIFT * (inputs.max(0) - inputs.min(0))
    noise = np.random.default_rng(seed).uniform(-1, 1, inputs[again].shape)
    inputs[again] = inputs[again[0]] + (noise * reach).astype(np.float32)
    labels[again] = labels[again[0]]
    kinds[again] = REPEATED
    return Planted(inputs, labels, kinds)


def _triggered(
    inputs: Floats, labels: Labels, target: int, part: float, seed: int
) -> Poisoned | None:
    if inputs.ndim == 4:
        return badnets(inputs, labels, target=target, rate=part, seed=seed)
    if inputs.ndim == 2 and sum(len(np.unique(column)) > 2 for column in inputs.T) >= 3:
        return tabular_backdoor(inputs, labels, target=target, rate=part, seed=seed)
    return None


def _crossed(shown: Floats, labels: Labels, *, classes: int, epochs: int, seed: int) -> Scores:
    """Returns class probabilities (n, classes) by networks that learnt from the other half."""
    apart = strangers(shown, labels, classes=classes, epochs=epochs, seed=seed)
    found = np.zeros((len(labels), classes))
    for half, student in enumerate(apart.students):
        own = apart.half == half
        found[own] = _probabilities(student.scores(shown[own]))
    return found


def _probabilities(logits: Floats) -> Scores:
    raised = np.exp((logits - logits.max(1, keepdims=True)).astype(np.float64))
    probabilities: Scores = raised / raised.sum(1, keepdims=True)
    return probabilities
