"""Groups of rows that stand out together in a network's features: where a trigger may hide.

Source: Tran et al. 2018, arXiv 1811.00636 (top singular direction of a class); whitening by the
spread within classes as in Hayase et al. 2021, SPECTRE, arXiv 2104.11315. Unlike there, no share
of poison is assumed: both ends of several directions are taken, at two sizes.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.poisoning.students import Labels, Scores
from tasks.detectors.poisoning.views import Floats

Places = NDArray[np.intp]
DIRECTIONS = 3
SIZES = (0.03, 0.1)
"""Parts of a class. The filter that follows grows and shrinks the group to what it really is."""
LEAST = 6
RIDGE = 0.02
"""Of the largest variance: directions that rows hardly use are not blown up more."""


def whitened(features: Floats, labels: Labels) -> Scores:
    """Turns features so that the spread within classes is the same in all directions."""
    known, inverse = np.unique(labels, return_inverse=True)
    centres = np.stack([features[labels == label].mean(0) for label in known])
    residuals = features - centres[inverse]
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(residuals.T)))
    scale = np.sqrt(np.maximum(variances, 0) + RIDGE * max(float(variances.max()), 1e-12))
    white: Scores = features @ (axes / scale)
    return white


def tails(white: Scores, labels: Labels, label: int) -> Iterator[Places]:
    """Yields groups of rows of one class, as places among all rows.

    Args:
        white: Whitened features (n, width).
        labels: Classes (n,).
        label: The class whose rows are grouped.
    """
    own = np.flatnonzero(labels == label)
    if len(own) < 2 * LEAST:
        return
    centred = white[own] - white[own].mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:DIRECTIONS]
    for axis in axes:
        order = np.argsort(centred @ axis, kind="stable")
        for ranked in (order, order[::-1]):
            for part in SIZES:
                yield own[ranked[: max(LEAST, round(part * len(own)))]]
