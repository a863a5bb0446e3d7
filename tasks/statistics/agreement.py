"""How far people who label the same items agree, and how often each of them errs.

Labels come as three arrays of equal length: item, labeler and label, each numbered from 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.statistics.intervals import Floats

Numbers = NDArray[np.int64]
ROUNDS, SETTLED = 100, 1e-6
PRIOR = 0.1
"""Pseudo-counts a cell: a labeler of few labels gets no confusion of exactly 0 or 1."""


class DawidSkene(NamedTuple):
    """Truth as far as it can be known from labels alone, and each labeler's confusion matrix.

    ``truth`` is (items, classes), each row a distribution; ``confusion`` is (labelers, classes,
    classes): true class, then given label.
    """

    truth: Floats
    confusion: Floats
    prior: Floats

    def accuracy(self) -> Floats:
        """Returns each labeler's chance of the right label under the class shares (labelers,)."""
        diagonal = np.diagonal(self.confusion, axis1=1, axis2=2)
        right: Floats = diagonal @ self.prior
        return right


def krippendorff_alpha(items: Numbers, labels: Numbers, classes: int) -> float:
    """Returns Krippendorff's alpha for nominal labels: 1 full agreement, 0 as by chance.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C. Items with a
    single label carry no information and are left out.

    Raises:
        ValueError: No item has two labels, or only one class occurs.
    """
    counts = np.zeros((int(items.max()) + 1, classes))
    np.add.at(counts, (items, labels), 1)
    given = counts.sum(1)
    counts, given = counts[given >= 2], given[given >= 2]
    if not len(given):
        raise ValueError("no item has two labels, so agreement cannot be known")
    observed = 1 - ((counts * (counts - 1)).sum(1) / (given - 1)).sum() / given.sum()
    totals = counts.sum(0)
    size = totals.sum()
    expected = 1 - (totals * (totals - 1)).sum() / (size * (size - 1))
    if expected == 0:
        raise ValueError("only one class occurs, so agreement says nothing")
    return float(1 - observed / expected)


def dawid_skene(items: Numbers, labelers: Numbers, labels: Numbers, classes: int) -> DawidSkene:
    """Estimates true classes and confusion matrices from labels alone, by expectation-maximisation.

    Source: Dawid and Skene 1979, Applied Statistics 28, 20-28; started from the majority.
    """
    count, people = int(items.max()) + 1, int(labelers.max()) + 1
    truth = np.zeros((count, classes))
    np.add.at(truth, (items, labels), 1)
    truth /= np.maximum(truth.sum(1, keepdims=True), 1)
    confusion = np.zeros((people, classes, classes))
    prior = np.full(classes, 1 / classes)
    for _ in range(ROUNDS):
        confusion = np.full((people, classes, classes), PRIOR)
        for label in range(classes):
            given = labels == label
            np.add.at(confusion[:, :, label], labelers[given], truth[items[given]])
        confusion /= confusion.sum(2, keepdims=True)
        prior = (truth.sum(0) + PRIOR) / (truth.sum() + PRIOR * classes)
        logs = np.tile(np.log(prior), (count, 1))
        np.add.at(logs, items, np.log(confusion[labelers, :, labels]))
        again = np.exp(logs - logs.max(1, keepdims=True))
        again /= again.sum(1, keepdims=True)
        moved = float(np.abs(again - truth).max())
        truth = again
        if moved < SETTLED:
            break
    return DawidSkene(truth, confusion, prior)
