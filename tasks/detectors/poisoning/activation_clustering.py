"""Classes that fall into two clusters of features, one of them small.

Source: Chen et al. 2018, Detecting Backdoor Attacks on Deep Neural Networks by Activation
Clustering, arXiv 1811.03728, section 4. The published rule flags whole clusters by size; here rows
are scored and nothing is flagged by this alone (on MNIST it flags 40 % of an honest set).
"""

import numpy as np

from tasks.detectors.poisoning.students import Labels, Scores
from tasks.detectors.poisoning.views import Floats

DIMENSIONS, ROUNDS = 10, 20


def activation_clustering(features: Floats, labels: Labels) -> Scores:
    """Scores rows (n,) by how much nearer they lie to the smaller cluster of their class.

    Args:
        features: What a network sees in each row (n, width).
        labels: Claimed classes (n,).
    """
    scores = np.zeros(len(labels))
    for label in np.unique(labels):
        own = labels == label
        if own.sum() >= 4:
            scores[own] = _nearer_to_the_smaller(features[own].astype(np.float64))
    return scores


def _nearer_to_the_smaller(rows: Scores) -> Scores:
    centred = rows - rows.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:DIMENSIONS]
    seen = centred @ axes.T
    first = seen[:, 0] > np.median(seen[:, 0])
    for _ in range(ROUNDS):  # two means, from a split along the main direction
        if first.all() or not first.any():
            return np.zeros(len(rows))
        centres = np.stack([seen[~first].mean(0), seen[first].mean(0)])
        distances = np.linalg.norm(seen[:, None] - centres, axis=2)
        again = distances[:, 1] < distances[:, 0]
        if (again == first).all():
            break
        first = again
    small = int(first.mean() < 0.5)
    gap = max(float(np.linalg.norm(centres[0] - centres[1])), 1e-12)
    size = max(float(first.mean() if small else (~first).mean()), 1e-9)
    scores: Scores = (distances[:, 1 - small] - distances[:, small]) / gap * (0.5 - min(size, 0.5))
    return scores
