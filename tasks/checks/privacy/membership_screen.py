"""Does tonight's model look as if it named its members? One pass, no shadow model."""

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.quantile_regression import quantile_regression
from tasks.attacks.inference.signals import confidence, loss
from tasks.checks.lab import Lab, NotApplicable
from tasks.checks.privacy.audit_set import (
    CONTROL_CONFIDENCE,
    LOW_RATE,
    Audit,
    blind_baseline,
    drawn_audit,
    escrow_told,
    overlap_seen,
)
from tasks.checks.privacy.curves import keep_curves
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Status
from tasks.statistics.intervals import Floats
from tasks.statistics.roc import auc
from tasks.statistics.tails import is_supported, tpr_at_true_fpr

CHECK, VERSION = "privacy.membership_screen", 1
CHOSEN = "quantile regression"
"""Named before anything is measured, so its interval needs no correction for a choice."""
FEWEST_EXPECTED = 5
SUSPICIOUS = 0.6
"""An area surely above this shows memorisation whose low tail only shadow models see."""


def measure(lab: Lab) -> Measurement:
    """Counts members who are surer than non-members of their kind, at 1 % false accusations."""
    audit = drawn_audit(lab)
    blind = blind_baseline(audit, seed=lab.seed)
    if lab.target().get("access") == "labels":
        raise NotApplicable("the model answers labels only and says nothing of its confidence")
    scores = lab.run("targets.querying.scores", {"inputs": audit.inputs}).arrays["scores"]
    sure = confidence(scores, audit.labels)
    signals = {CHOSEN: _screened(lab, audit, sure), "loss": loss(scores, audit.labels)}
    tails = {name: _tail(signal, audit.members) for name, signal in signals.items()}
    found, signal = tails[CHOSEN], signals[CHOSEN]
    area = auc(signal[audit.members], signal[~audit.members])
    others = int((~audit.members).sum())
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"{found.value:.1%} of {found.n} members are surer than all but 1 % of the "
        "non-members of their kind; guessing names 1 %.",
        estimates={
            "tpr_at_1_percent_fpr": found,
            "tpr_at_1_percent_fpr_of_loss": tails["loss"],
            "auc": area,
            "blind_tpr_at_1_percent_fpr": blind.tail,
            "overlap": audit.overlap,
        },
        observations=overlap_seen(audit),
        controls=(
            _leaking(lab, audit, sure),
            _by_lot(lab, audit, signal),
            blind.control(found, blind.tail),
        ),
        alarms=tuple(_alarms(others, area)),
        limits=(
            "A screen: what it finds is there; what it misses, shadow models may find.",
            *escrow_told(lab),
        ),
        method="normal distribution of a non-member's confidence given the item, by ridge "
        "regressions on other non-members; members above it, at 1 % false positives",
        facts={"members": int(audit.members.sum()), "others": others},
        artifacts=(
            keep_curves(
                lab,
                signals,
                audit.members,
                chosen=CHOSEN,
                counted=np.ones(len(signal), dtype=np.bool_),
            ),
        ),
        cost=lab.cost,
    )


def _alarms(others: int, area: Estimate) -> list[str]:
    """Keeps a screen from acquitting: what shows on average may be sharp for shadow models."""
    alarms = []
    if area.low > SUSPICIOUS:
        alarms.append(
            f"members are surer than others on average (area {area.value:.3f}): whether single "
            "ones can be named takes shadow models, ask privacy.membership_tail"
        )
    if not is_supported(others, LOW_RATE, FEWEST_EXPECTED):
        alarms.append(f"{others} non-members cannot speak about 1 % false accusations, 500 can")
    return alarms


def _screened(lab: Lab, audit: Audit, sure: Floats) -> Floats:
    return quantile_regression(sure, audit.inputs, audit.labels, ~audit.members, seed=lab.seed)


def _tail(signal: Floats, members: NDArray[np.bool_], confidence_level: float = 0.95) -> Estimate:
    return tpr_at_true_fpr(signal[members], signal[~members], LOW_RATE, confidence_level)


def _leaking(lab: Lab, audit: Audit, sure: Floats) -> Control:
    """Makes every second member surer by all that parts the non-members from each other."""
    betrayed = np.flatnonzero(audit.members)[::2]
    leaking = sure.copy()
    leaking[betrayed] += max(float(np.ptp(sure[~audit.members])), 1e-6)
    found = _tail(_screened(lab, audit, leaking), audit.members, CONTROL_CONFIDENCE)
    return Control(
        name="the same answers, every second member much surer",
        planted=True,
        found=found.low > LOW_RATE,
        estimate=found,
        detail=f"{found.value:.1%} named at 1 % false accusations",
    )


def _by_lot(lab: Lab, audit: Audit, signal: Floats) -> Control:
    lots = np.random.default_rng(lab.seed + 2).permutation(audit.members)
    found = _tail(signal, lots, CONTROL_CONFIDENCE)
    return Control(
        name="the same answers, members drawn by lot",
        planted=False,
        found=found.low > 2 * LOW_RATE,
        estimate=found,
        detail=f"{found.value:.1%} named at 1 % false accusations",
    )
