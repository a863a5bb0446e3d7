"""Rows that keep their label when other rows are laid over them: a trigger shows through.

Source: Gao et al. 2019, STRIP, arXiv 1902.06531, section 4. There inputs are judged as they come in
and by the entropy of the answers; here training rows are, by a network that learnt from them, by
how often they keep their label, each against its own class: some classes win most blends without a
trigger. Of two pictures the lighter values stay, or the darker, because fading fades triggers too.
"""

from collections.abc import Callable

import numpy as np

from tasks.detectors.poisoning.students import Labels, Scores, Student
from tasks.detectors.poisoning.views import Floats

BLENDS = 16
"""Other rows laid over each row, in each way."""
PART = 2000
Blend = Callable[[Floats, Floats], Floats]


def strip(student: Student, shown: Floats, labels: Labels, *, seed: int) -> Scores:
    """Returns the part of blends in which a row keeps its label (n,), above its class's median.

    Args:
        student: A network that learnt from the rows.
        shown: The rows as it sees them (n, *item).
        labels: Claimed classes (n,).
        seed: Draws the rows that are laid over.
    """
    ways: tuple[Blend, ...] = (np.maximum, np.minimum)
    kept = [_kept(student, shown, labels, blend, seed) for blend in ways]
    strangest: Scores = np.max(kept, axis=0)
    return strangest


def _kept(student: Student, shown: Floats, labels: Labels, blend: Blend, seed: int) -> Scores:
    rng = np.random.default_rng(seed)
    kept = np.zeros(len(labels))
    for _ in range(BLENDS):
        over = rng.permutation(len(labels))
        for at in range(0, len(labels), PART):
            part = slice(at, at + PART)
            answers = student.answers(blend(shown[part], shown[over[part]]))
            kept[part] += (answers == labels[part]) / BLENDS
    for label in np.unique(labels):
        own = labels == label
        kept[own] -= np.median(kept[own])
    return kept
