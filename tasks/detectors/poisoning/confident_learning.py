"""Labels that a network trained on other rows contradicts with confidence.

Source: Northcutt, Jiang and Chuang 2021, Confident Learning, JAIR 70, section 3: a class's
threshold is the mean probability that its own rows get; written from the paper.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.poisoning.students import Labels, Scores


def confident_learning(probabilities: Scores, labels: Labels) -> Scores:
    """Scores rows by how much surer another class is than their own, each by its own threshold.

    Args:
        probabilities: Of each class (n, classes), by networks that did not learn the row.
        labels: Claimed classes (n,).

    Returns:
        Scores (n,), higher is stranger; above 0 another class is nearer to its threshold.
    """
    above = probabilities - _thresholds(probabilities, labels)
    own = above[np.arange(len(labels)), labels]
    others = above.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    scores: Scores = others.max(1) - own
    return scores


def confident_errors(probabilities: Scores, labels: Labels) -> NDArray[np.bool_]:
    """Marks the off-diagonal of the confident joint (equation 1): another class passes its bar."""
    passed = probabilities >= _thresholds(probabilities, labels)
    best = np.where(passed, probabilities, -1.0).argmax(1)
    marks: NDArray[np.bool_] = passed.any(1) & (best != labels)
    return marks


def _thresholds(probabilities: Scores, labels: Labels) -> Scores:
    classes = probabilities.shape[1]
    bars = [
        probabilities[labels == c, c].mean() if (labels == c).any() else 1.0 for c in range(classes)
    ]
    return np.array(bars)
