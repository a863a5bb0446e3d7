"""Scores every training row by how little it looks like its class. Runs in the child.

Two scores, both against labelled rows that nobody could poison for this purpose (evaluation data):
``outlier``, the whitened distance from the class's centre in the features of a network trained on
the rows in question (Tran et al. 2018; whitening as in SPECTRE, Hayase et al. 2021), and
``foreign``, how much nearer the row lies to other classes than to its own, in the inputs.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.detectors.backdoor.controls import corner_patch
from tasks.detectors.poisoning.features import Floats, penultimate
from tasks.sandbox.protocol import Reply

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]
RIDGE = 0.02
"""Of the largest variance: directions that the reference hardly uses are not blown up more."""
NEIGHBOURS = 3
SINGULAR_VALUES = 5


class Rows(NamedTuple):
    """Labelled rows (n, *item), scaled for a network."""

    inputs: Floats
    labels: Labels


def spectral_signature(
    *,
    inputs: Floats,
    labels: Labels,
    reference: Floats,
    reference_labels: Labels,
    plant: float,
    steps: int,
    seed: int,
) -> Reply:
    """Scores training rows, after planting poison among them if asked to.

    Args:
        inputs: Training rows (n, *item), raw.
        labels: Their claimed classes (n,).
        reference: Evaluation rows (m, *item), raw.
        reference_labels: Their classes (m,).
        plant: Part of the rows to poison first with a patch and a new label; 0 for none.
        steps: Descents of the network's training.
        seed: Draws weights, batches and the planted rows.

    Returns:
        ``outlier`` and ``foreign`` (n,), the same for the reference as ``reference_outlier`` and
        ``reference_foreign`` (m,), ``planted`` (n,) bool, ``labels`` (n,) as scored, and
        ``spectra`` (classes, 5), the largest singular values of each class's whitened features.
        Values: ``learnt``, the network's accuracy on the rows.
    """
    planted = np.zeros(len(labels), bool)
    if plant > 0:
        inputs, labels, planted = _with_poison(inputs, labels, plant, seed)
    rows, known = _scaled(Rows(inputs, labels), Rows(reference, reference_labels))
    seen, seen_known, learnt = penultimate(
        rows.inputs, rows.labels, known.inputs, steps=steps, seed=seed
    )
    white, white_known = _whitened(seen, seen_known, reference_labels)
    centres = _centres(white_known, reference_labels)
    foreign, foreign_known = (
        _foreign(rows, known, itself=False),
        _foreign(known, known, itself=True),
    )
    arrays: dict[str, NDArray[Any]] = {
        "outlier": _distance(white, labels, centres),
        "foreign": foreign,
        "reference_outlier": _distance(white_known, reference_labels, centres),
        "reference_foreign": foreign_known,
        "planted": planted,
        "labels": labels,
        "spectra": _spectra(white, labels, centres),
    }
    return Reply(arrays, {"learnt": learnt})


def _with_poison(
    inputs: Floats, labels: Labels, part: float, seed: int
) -> tuple[Floats, Labels, NDArray[np.bool_]]:
    """BadNets (Gu et al. 2017): a bright patch and a new label on a random part of the rows."""
    rng = np.random.default_rng(seed)
    target = int(labels[rng.integers(len(labels))])
    others = np.flatnonzero(labels != target)
    chosen = rng.choice(others, max(1, min(len(others), round(part * len(labels)))), replace=False)
    patch = corner_patch(tuple(inputs.shape[1:]), float(inputs.max()), seed=seed)
    inputs, labels = inputs.copy(), labels.copy()
    inputs[chosen] = patch.on(torch.from_numpy(inputs[chosen])).numpy()
    labels[chosen] = target
    planted = np.zeros(len(labels), bool)
    planted[chosen] = True
    return inputs, labels, planted


def _scaled(rows: Rows, known: Rows) -> tuple[Rows, Rows]:
    """Pictures to 0..1 as a whole; rows of features each to mean 0 and deviation 1."""
    if rows.inputs.ndim > 2:
        low, high = float(known.inputs.min()), float(known.inputs.max())
        shift, scale = np.float32(low), np.float32(max(high - low, 1e-6))
    else:
        shift, scale = known.inputs.mean(0), np.maximum(known.inputs.std(0), 1e-6)
    return (
        Rows(((rows.inputs - shift) / scale).astype(np.float32), rows.labels),
        Rows(((known.inputs - shift) / scale).astype(np.float32), known.labels),
    )


def _whitened(seen: Floats, known: Floats, labels: Labels) -> tuple[Scores, Scores]:
    """Turns both so that the reference's spread within classes is the same in all directions."""
    centres = _centres(known.astype(np.float64), labels)
    residuals = known - np.stack([centres[int(label)] for label in labels])
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(residuals.T)))
    turn = axes / np.sqrt(np.maximum(variances, 0) + RIDGE * max(variances.max(), 1e-12))
    return seen @ turn, known @ turn


def _centres(points: Scores, labels: Labels) -> dict[int, Scores]:
    return {int(label): points[labels == label].mean(0) for label in np.unique(labels)}


def _distance(points: Scores, labels: Labels, centres: dict[int, Scores]) -> Scores:
    everywhere = np.mean(list(centres.values()), axis=0)  # for a class that the reference lacks
    there = np.stack([_centre(centres, int(label), everywhere) for label in labels])
    distances: Scores = np.linalg.norm(points - there, axis=1)
    return distances


def _centre(centres: dict[int, Scores], label: int, otherwise: Scores) -> Scores:
    return centres.get(label, otherwise)


def _foreign(rows: Rows, known: Rows, *, itself: bool) -> Scores:
    """Mean distance to the nearest of its class minus that to the nearest of all others."""
    flat = rows.inputs.reshape(len(rows.labels), -1).astype(np.float64)
    there = known.inputs.reshape(len(known.labels), -1).astype(np.float64)
    squares = (flat**2).sum(1)[:, None] + (there**2).sum(1) - 2 * flat @ there.T
    distances = np.sqrt(np.maximum(squares, 0))
    if itself:
        np.fill_diagonal(distances, np.inf)
    scores = np.zeros(len(rows.labels))
    for label in np.unique(rows.labels):
        own, mine = known.labels == label, rows.labels == label
        if own.sum() > NEIGHBOURS and (~own).sum() > NEIGHBOURS:
            scores[mine] = _nearest(distances[mine][:, own]) - _nearest(distances[mine][:, ~own])
    return scores


def _nearest(distances: Scores) -> Scores:
    near: Scores = np.sort(distances, axis=1)[:, :NEIGHBOURS].mean(1)
    return near


def _spectra(points: Scores, labels: Labels, centres: dict[int, Scores]) -> Scores:
    classes = int(labels.max()) + 1
    spectra = np.zeros((classes, SINGULAR_VALUES))
    for label, centre in centres.items():
        own = points[labels == label] - centre
        if label < classes and len(own):
            values = np.linalg.svd(own, compute_uv=False)[:SINGULAR_VALUES]
            spectra[label, : len(values)] = values / np.sqrt(len(own))
    return spectra
