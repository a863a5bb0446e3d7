"""Rows whose nearest neighbours in a network's features carry other labels.

Source: Peri et al. 2020, Deep k-NN Defense against Clean-label Data Poisoning Attacks, arXiv
1909.13374, section 3; labels are weighed by class size, so that small classes are not accused.
"""

import numpy as np

from tasks.detectors.poisoning.students import Labels, Scores
from tasks.detectors.poisoning.views import Floats

NEIGHBOURS = 20
PART = 1000


def deep_knn(features: Floats, labels: Labels) -> Scores:
    """Returns the part of each row's neighbours that disagree with its label (n,).

    Args:
        features: What a network sees in each row (n, width).
        labels: Claimed classes (n,).
    """
    rows = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    count = min(NEIGHBOURS, len(rows) - 1)
    weights = 1 / np.maximum(np.bincount(labels), 1)
    scores = np.zeros(len(rows))
    for at in range(0, len(rows), PART):
        part = slice(at, min(at + PART, len(rows)))
        near = rows[part] @ rows.T
        near[np.arange(near.shape[0]), np.arange(part.start, part.stop)] = -np.inf
        found = np.argpartition(-near, count - 1, axis=1)[:, :count]
        votes = weights[labels[found]]
        same = labels[found] == labels[part][:, None]
        scores[part] = 1 - (votes * same).sum(1) / votes.sum(1)
    return scores
