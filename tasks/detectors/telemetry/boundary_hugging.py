"""Walking along the decision boundary: variants of one input that get another class.

A decision-based attack needs both classes of nearly the same input, again and again. Honest
variants (frames, scans of one page) mostly keep their class.
"""

import numpy as np

from tasks.detectors.telemetry.trail import NEAR, Look


def boundary_hugging(look: Look) -> float:
    """Returns the share of questions whose nearest earlier variant got another class."""
    nearest = look.distances.argmin(axis=1)
    labels = np.concatenate([look.past.labels, look.block.labels])
    flipped = (look.gaps < NEAR) & (labels[nearest] != look.block.labels)
    return float(flipped.mean())
