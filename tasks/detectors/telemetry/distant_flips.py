"""Variants of questions asked long ago that get another class: augmentation of old questions.

Who copies a model by augmentation (Papernot et al. 2017, arXiv 1602.02697) comes back to all of its
old questions and moves each towards another class. Honest variants (frames, second scans) follow
their original at once, so they do not count here.
"""

import numpy as np

from tasks.detectors.telemetry.trail import NEAR, Look

LONG_AGO = 30
"""Questions between a variant and its original."""


def distant_flips(look: Look) -> float:
    """Returns the share of questions whose nearest variant is old and got another class."""
    nearest = look.distances.argmin(axis=1)
    labels = np.concatenate([look.past.labels, look.block.labels])
    age = look.past.length + np.arange(look.block.length) - nearest
    flipped = (look.gaps < NEAR) & (labels[nearest] != look.block.labels)
    return float((flipped & (age > LONG_AGO)).mean())
