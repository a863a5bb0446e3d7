"""Quantum entropy scores of a class's features, whitened by a covariance that outliers cannot bend.

Source: Hayase, Kong, Somani and Oh 2021, SPECTRE, arXiv 2104.11315, algorithms 1 and 4. The
published method removes 1.5 times the true share of poison; here rows are scored, and the robust
covariance trims a fixed part that does not depend on the poison.
"""

import numpy as np
import scipy.linalg

from tasks.detectors.poisoning.students import Labels, Scores
from tasks.detectors.poisoning.views import Floats

DIMENSIONS, TRIMMED, ROUNDS, ALPHA = 20, 0.1, 4, 4.0


def spectre(features: Floats, labels: Labels) -> Scores:
    """Scores rows (n,) by how far they stick out of their class, several directions at once.

    Args:
        features: What a network sees in each row (n, width).
        labels: Claimed classes (n,).
    """
    scores = np.zeros(len(labels))
    for label in np.unique(labels):
        own = labels == label
        if own.sum() >= 2 * DIMENSIONS:
            scores[own] = _entropy_scores(features[own].astype(np.float64))
    return scores


def _entropy_scores(rows: Scores) -> Scores:
    centred = rows - np.median(rows, axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:DIMENSIONS]
    white = _robustly_white(centred @ axes.T)
    spread = np.cov(white.T)
    excess = spread - np.eye(len(spread))
    size = max(float(np.linalg.norm(excess, 2)), 1e-9)
    weights = scipy.linalg.expm(ALPHA * excess / size)
    weights /= np.trace(weights)
    scores: Scores = np.einsum("ni,ij,nj->n", white, weights, white)
    return scores


def _robustly_white(seen: Scores) -> Scores:
    """Estimates mean and covariance from the rows that lie nearest, again and again.

    The first rows are the nearest by medians along each direction (as in Maronna and Zamar 2002);
    a covariance of all rows would take a cluster of outliers for ordinary spread.
    """
    middle = np.median(seen, axis=0)
    reach = np.median(np.abs(seen - middle), axis=0)
    white = (seen - middle) / np.maximum(1.4826 * reach, 1e-9)
    distances = (white**2).sum(1)
    kept = distances <= np.quantile(distances, 1 - TRIMMED)
    for _ in range(ROUNDS):
        centre, spread = seen[kept].mean(0), np.cov(seen[kept].T)
        variances, axes = np.linalg.eigh(spread)
        white = (seen - centre) @ (axes / np.sqrt(np.maximum(variances, 1e-9 * variances.max())))
        distances = (white**2).sum(1)
        kept = distances <= np.quantile(distances, 1 - TRIMMED)
    return white
