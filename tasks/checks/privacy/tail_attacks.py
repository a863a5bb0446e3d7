"""Every attack that names single members, run on one audit set, with intervals on two levels."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.bavaria import bavaria
from tasks.attacks.inference.deciding import split
from tasks.attacks.inference.lira import offline, online
from tasks.attacks.inference.quantile_regression import quantile_regression
from tasks.attacks.inference.rmia import rmia
from tasks.attacks.inference.signals import (
    aligned,
    confidence,
    log_probabilities,
    loss,
    modified_entropy,
    pairs_drawn,
)
from tasks.checks.lab import Lab
from tasks.checks.privacy.audit_set import LOW_RATE, Audit
from tasks.checks.privacy.shadow_bank import Bank, looked_at
from tasks.domain.estimate import Estimate
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats
from tasks.statistics.roc import auc
from tasks.statistics.tails import tpr_at_true_fpr, widened

CHOSEN = "BaVarIA"
"""Named before anything is measured, so its interval needs no correction for a choice."""
PEER = "ART black box"
SCREEN = "quantile regression"
LABELS_ONLY = "label noise"
"""What is counted when the model answers labels and no scores."""
TINY_RATE = 0.001
RESAMPLES = 40
Signals = dict[str, Floats]


class Worth(NamedTuple):
    """What one attack is worth, over items and over the shadow models that it uses."""

    tail: Estimate
    """Members named at 1 % false positives."""
    tiny: Estimate
    """Members named at 0.1 % false positives."""
    area: Estimate


class Attacked(NamedTuple):
    """What every attack says of every item, and what it is worth."""

    chosen: str
    signals: Signals
    worth: dict[str, Worth]
    learnt_apart: NDArray[np.bool_]
    """Items that no attack learnt from."""

    @property
    def best(self) -> Worth:
        """The worth of the attack that was named beforehand."""
        return self.worth[self.chosen]


def attacked(lab: Lab, audit: Audit, bank: Bank) -> Attacked:
    """Opens the target and runs every attack that its answers allow."""
    labels_only = lab.target().get("access") == "labels"
    signals = _by_labels(lab, audit)
    apart = np.ones(len(audit.labels), dtype=np.bool_)
    draws: dict[str, list[Worth]] = {}
    if not labels_only:
        scores, placed = looked_at(lab, audit, bank)
        shadowed = functools.partial(_by_shadows, scores, audit.labels, placed)
        signals |= shadowed(bank) | _by_scores(lab, audit, scores)
        draws = _resampled(shadowed, audit, bank, lab.seed)
        if bool(lab.parameters["art"]):
            signals[PEER], apart = _art(lab, audit, scores)
    worth = {
        name: _widened(
            worth_of(signal, audit, apart if name == PEER else True), draws.get(name, [])
        )
        for name, signal in signals.items()
    }
    return Attacked(LABELS_ONLY if labels_only else CHOSEN, signals, worth, apart)


def worth_of(signal: Floats, audit: Audit, counted: NDArray[np.bool_] | bool = True) -> Worth:
    """Returns what a signal is worth, with intervals over items alone."""
    inside, outside = signal[audit.members & counted], signal[~audit.members & counted]
    return Worth(
        tpr_at_true_fpr(inside, outside, LOW_RATE),
        tpr_at_true_fpr(inside, outside, TINY_RATE),
        auc(inside, outside),
    )


def _by_labels(lab: Lab, audit: Audit) -> Signals:
    """Attacks that look at labels only; they work against every model."""
    items = {"inputs": audit.inputs, "labels": audit.labels}
    noise = lab.run(
        "attacks.inference.label_noise", items, queries=lab.count("label_queries"), seed=lab.seed
    )
    signals = {LABELS_ONLY: noise.arrays["signal"]}
    if directions := lab.count("directions"):
        reply = lab.run(
            "attacks.inference.boundary_distance", items, directions=directions, seed=lab.seed
        )
        signals["boundary distance"] = reply.arrays["signal"]
    return signals


def _by_scores(lab: Lab, audit: Audit, scores: Array) -> Signals:
    """Attacks on scores that need no shadow model."""
    return {
        "loss": loss(scores, audit.labels),
        "confidence": log_probabilities(scores).max(axis=-1),
        "modified entropy": modified_entropy(scores, audit.labels),
        SCREEN: quantile_regression(
            confidence(scores, audit.labels),
            audit.inputs,
            audit.labels,
            ~audit.members,
            seed=lab.seed,
        ),
    }


def _by_shadows(scores: Array, labels: Array, placed: list[Floats], bank: Bank) -> Signals:
    """Attacks that compare the target with shadow models; the looks at an item are averaged."""
    fitted = aligned(loss(scores, labels), bank.log_probability)
    ratios = {CHOSEN: bavaria, "LiRA online": online, "LiRA offline": offline}
    return {
        name: np.mean(
            [
                attack(own, bank.confidence[:, look], bank.members)
                for look, own in enumerate(placed)
            ],
            axis=0,
        )
        for name, attack in ratios.items()
    } | {
        "RMIA": rmia(fitted, bank.log_probability, bank.members),
        "RMIA offline": rmia(fitted, bank.log_probability, bank.members, online=False),
    }


def _resampled(
    shadowed: Callable[[Bank], Signals], audit: Audit, bank: Bank, seed: int
) -> dict[str, list[Worth]]:
    """Returns what each attack is worth under other draws of shadow models."""
    found: dict[str, list[Worth]] = {}
    for drawn in pairs_drawn(len(bank.members), RESAMPLES, seed + 3):
        for name, signal in shadowed(bank.models(drawn)).items():
            found.setdefault(name, []).append(worth_of(signal, audit))
    return found


def _widened(worth: Worth, draws: list[Worth]) -> Worth:
    if not draws:
        return worth
    return Worth(
        *(
            widened(own, np.array([other.value for other in others]))
            for own, others in zip(worth, zip(*draws, strict=True), strict=True)
        )
    )


def _art(lab: Lab, audit: Audit, scores: Array) -> tuple[Floats, NDArray[np.bool_]]:
    """Returns a peer's opinion, and which items it did not learn from."""
    learning = split(audit.members, seed=lab.seed)
    reply = lab.run(
        "attacks.inference.art_black_box",
        {
            "scores": scores,
            "labels": audit.labels,
            "members": audit.members,
            "learning": learning,
        },
        seed=lab.seed,
    )
    return reply.arrays["signal"], ~learning
