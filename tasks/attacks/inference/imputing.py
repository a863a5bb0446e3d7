"""What can be guessed of a hidden value without any model: the reference every inference must beat.

Source: Jayaraman and Evans 2022, arXiv 2209.01292: most attribute inference is imputation.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats

PENALTY = 0.01
LEAST = 0.01
"""Lowest probability that the imputer gives to a value."""


def imputed_probabilities(
    known: Floats, known_labels: Array, values: Array, asked: Floats, asked_labels: Array
) -> Floats:
    """Returns how likely each value of the hidden attribute is (asked, kinds).

    A ridge regression from the other attributes and the label, learnt on people whom the model
    never saw.

    Args:
        known: Other attributes of those people (known, columns).
        known_labels: Their labels (known,).
        values: Their value of the hidden attribute (known,), numbered 0 to kinds - 1.
        asked: Other attributes of the people asked about (asked, columns).
        asked_labels: Their labels (asked,).
    """
    everybody = _table(np.concatenate([known, asked]), np.concatenate([known_labels, asked_labels]))
    first, second = everybody[: len(known)], everybody[len(known) :]
    wanted = np.eye(int(values.max()) + 1)[values]
    gram = first.T @ first + PENALTY * len(first) * np.eye(first.shape[1])
    shares = np.clip(second @ np.linalg.solve(gram, first.T @ wanted), LEAST, 1)
    probabilities: Floats = shares / shares.sum(axis=1, keepdims=True)
    return probabilities


def neighbours(known: Floats, asked: Floats, visible: NDArray[np.bool_], count: int) -> Array:
    """Returns the rows of ``known`` most like each asked one in its visible values (asked, count).

    Args:
        known: People whom the model never saw (known, columns).
        asked: People with hidden values (asked, columns).
        visible: Which values may be compared (asked, columns).
        count: Neighbours for each, at most the number of known rows.
    """
    found = []
    for row, mask in zip(asked, visible, strict=True):
        distances = ((known[:, mask] - row[mask]) ** 2).sum(axis=1)
        found.append(np.argsort(distances, kind="stable")[:count])
    nearest: Array = np.stack(found)
    return nearest


def _table(columns: Floats, labels: Array) -> Floats:
    kinds = np.unique(labels)
    hot = (labels[:, None] == kinds[None, :64]).astype(np.float64)
    spread = columns.std(axis=0)
    scaled = (columns - columns.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)
    return np.concatenate([np.ones((len(columns), 1)), scaled, hot], axis=1)
