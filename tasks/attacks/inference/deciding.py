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
EACH = 0.975
"""Each of two axes at half of alpha, so that both intervals hold together at 95 %."""
Mask = NDArray[np.bool_]


class Decided(NamedTuple):
    """How one attack did on the half it did not learn from."""

    learnt_accuracy: float
    accuracy: Estimate
    area: Estimate
    caught: Estimate
    """Members called members; with ``accused``, both intervals hold at 95 % together."""
    accused: Estimate
    """Others called members."""

    @property
    def epsilon(self) -> float:
        """A lower bound on the privacy loss epsilon (delta 0) that these calls prove, or 0.

        Source: Kairouz et al. 2015, arXiv 1311.0776, theorem 2.1: under epsilon, caught is at most
        exp(epsilon) times accused, and the other way round for the ones not called.
        """
        ratios = [
            self.caught.low / self.accused.high,
            (1 - self.accused.high) / (1 - self.caught.low),
        ]
        return max(0.0, float(np.log(max(ratios))))


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
    chosen = max(results, key=lambda name: results[name].learnt_accuracy)
    return Verdicts(chosen, results)


def votes(signal: Floats, labels: Array, members: Mask, learning: Mask, *, few: int = FEW) -> Mask:
    """Returns which items are called members, by thresholds learnt class by class.

    Source: Song and Mittal 2021, arXiv 2003.10595, section 3.2; they trust every class (``few`` 1).
    """
    common = best_threshold(signal[learning & members], signal[learning & ~members])
    called = signal >= common
    for label in np.unique(labels):
        own = labels == label
        inside, outside = signal[own & learning & members], signal[own & learning & ~members]
        if min(len(inside), len(outside)) >= few:
            called[own] = signal[own] >= best_threshold(inside, outside)
    return called


def low_tail(signal: Floats, members: Mask, learning: Mask, *, rate: float) -> LowTail:
    """Returns true and false positive rate on the counting half, at a threshold learnt apart."""
    learnt = tpr_at_fpr(signal[learning & members], signal[learning & ~members], rate)
    counted = signal > learnt.threshold
    inside, outside = members & ~learning, ~members & ~learning
    return LowTail(
        binomial(int(counted[inside].sum()), int(inside.sum()), EACH),
        binomial(int(counted[outside].sum()), int(outside.sum()), EACH),
        learnt.threshold,
    )


def split(members: Mask, *, seed: int) -> Mask:
    """Draws the learning half: half of the members and half of the others."""
    rng = np.random.default_rng(seed)
    learning = np.zeros(len(members), dtype=np.bool_)
    for group in (np.flatnonzero(members), np.flatnonzero(~members)):
        learning[rng.permutation(group)[: len(group) // 2]] = True
    return learning


def _learnt_accuracy(signal: Floats, labels: Array, members: Mask, learning: Mask) -> float:
    """Returns what an attacker expects: learnt on each quarter, counted on the other one."""
    first, second = np.zeros_like(learning), np.zeros_like(learning)
    first[learning] = split(members[learning], seed=0)
    second[learning] = ~first[learning]
    right = [
        (votes(signal, labels, members, one) == members)[other]
        for one, other in ((first, second), (second, first))
    ]
    return float(np.concatenate(right).mean())


def _decided(signal: Floats, labels: Array, members: Mask, learning: Mask) -> Decided:
    called = votes(signal, labels, members, learning)
    counting = ~learning
    right, inside, outside = called == members, counting & members, counting & ~members
    return Decided(
        _learnt_accuracy(signal, labels, members, learning),
        binomial(int(right[counting].sum()), int(counting.sum())),
        auc(signal[inside], signal[outside]),
        binomial(int(called[inside].sum()), int(inside.sum()), EACH),
        binomial(int(called[outside].sum()), int(outside.sum()), EACH),
    )
