"""From signals to a decision: an attacker learns on one half and is counted on the other.

Attack and thresholds are chosen on the learning half only, so the count needs no correction for
having looked at several attacks.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.domain.estimate import Estimate
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats, binomial
from tasks.statistics.roc import LowTail, auc, best_threshold, tpr_at_fpr

FEW = 10
"""With fewer members or others of a class to learn from, the class uses the common threshold."""
Mask = NDArray[np.bool_]


class Decided(NamedTuple):
    """How one attack did on the half it did not learn from."""

    learnt_area: float
    accuracy: Estimate
    area: Estimate


class Verdicts(NamedTuple):
    """Every attack's result, and which one the attacker would have used."""

    chosen: str
    results: dict[str, Decided]


def decide(signals: Mapping[str, Floats], labels: Array, members: Mask, learning: Mask) -> Verdicts:
    """Lets each attack learn on ``learning`` and counts it on the rest.

    Args:
        signals: Attack name to signal (items,), higher for members.
        labels: Classes (items,); thresholds are learnt class by class.
        members: Which items are members.
        learning: Which items the attacker may learn from.
    """
    results = {
        name: _decided(signal, labels, members, learning) for name, signal in signals.items()
    }
    chosen = max(results, key=lambda name: results[name].learnt_area)
    return Verdicts(chosen, results)


def votes(signal: Floats, labels: Array, members: Mask, learning: Mask) -> Mask:
    """Returns which items are called members, by thresholds learnt class by class.

    Source: Song and Mittal 2021, arXiv 2003.10595, section 3.2.
    """
    common = best_threshold(signal[learning & members], signal[learning & ~members])
    called = signal >= common
    for label in np.unique(labels):
        own = labels == label
        inside, outside = signal[own & learning & members], signal[own & learning & ~members]
        if min(len(inside), len(outside)) >= FEW:
            called[own] = signal[own] >= best_threshold(inside, outside)
    return called


def low_tail(signal: Floats, members: Mask, learning: Mask, *, rate: float) -> LowTail:
    """Returns true and false positive rate on the counting half, at a threshold learnt apart."""
    learnt = tpr_at_fpr(signal[learning & members], signal[learning & ~members], rate)
    counted = signal > learnt.threshold
    inside, outside = members & ~learning, ~members & ~learning
    # Each axis at half of alpha, so that both intervals hold together.
    return LowTail(
        binomial(int(counted[inside].sum()), int(inside.sum()), 0.975),
        binomial(int(counted[outside].sum()), int(outside.sum()), 0.975),
        learnt.threshold,
    )


def split(members: Mask, *, seed: int) -> Mask:
    """Draws the learning half: half of the members and half of the others."""
    rng = np.random.default_rng(seed)
    learning = np.zeros(len(members), dtype=np.bool_)
    for group in (np.flatnonzero(members), np.flatnonzero(~members)):
        learning[rng.permutation(group)[: len(group) // 2]] = True
    return learning


def _decided(signal: Floats, labels: Array, members: Mask, learning: Mask) -> Decided:
    right = votes(signal, labels, members, learning) == members
    counting = ~learning
    return Decided(
        auc(signal[learning & members], signal[learning & ~members]).value,
        binomial(int(right[counting].sum()), int(counting.sum())),
        auc(signal[counting & members], signal[counting & ~members]),
    )
