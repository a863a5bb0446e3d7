"""The people of a membership audit: members, and as many others of the same classes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.blind_guess import blind_guess
from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.detectors.data.profile import fingerprints
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Observation
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import binomial
from tasks.statistics.tails import tpr_at_true_fpr

LOW_RATE = 0.01
"""Nominal false positive rate of the low tail: smaller ones need 10,000 non-members."""
CONTROL_CONFIDENCE = 0.999
"""A control that rests on chance may not spoil one run in twenty."""
MARGIN = 0.05
"""How far an attack must lie above the blind guess before a shift cannot explain it."""


class Audit(NamedTuple):
    """Members and as many others of the same classes, without rows that lie in both."""

    inputs: Array
    labels: Array
    members: NDArray[np.bool_]
    overlap: Estimate


def drawn_audit(lab: Lab) -> Audit:
    """Draws the same number of members and others from each class.

    Raises:
        NotAvailable: One of the sets is missing, or too few rows lie in one set only.
    """
    training, evaluation = lab.people("training"), lab.people("evaluation")
    inside, outside = fingerprints(training.inputs), fingerprints(evaluation.inputs)
    shared = np.isin(outside, inside)
    overlap = Estimate.exact(float(shared.mean()), n=len(shared))
    rng = np.random.default_rng(lab.seed)
    member_rows = rng.permutation(np.unique(inside, return_index=True)[1])
    other_rows = np.unique(outside, return_index=True)[1]
    other_rows = rng.permutation(other_rows[~shared[other_rows]])
    rows = _matched(training.labels[member_rows], evaluation.labels[other_rows], lab.count("items"))
    least = lab.count("minimum_items")
    if len(rows) < least:
        raise NotAvailable(
            f"only {len(rows)} members can be matched with as many others of the same class, "
            f"{least} are needed; {overlap.value:.1%} of the evaluation rows lie in the training "
            "data and cannot be used"
        )
    picked = (
        _taken(training, member_rows[rows[:, 0]]),
        _taken(evaluation, other_rows[rows[:, 1]]),
    )
    return Audit(
        np.concatenate([one.inputs for one in picked]),
        np.concatenate([one.labels for one in picked]).astype(np.int64),
        np.repeat([True, False], len(rows)),
        overlap,
    )


def _matched(first: Array, second: Array, most: int) -> NDArray[np.int64]:
    """Pairs rows of equal labels, at most ``most``, classes in the proportion they allow."""
    pairs = [
        np.stack([rows[: min(map(len, both))] for rows in both], axis=1)
        for label in np.unique(first)
        if (both := [np.flatnonzero(first == label), np.flatnonzero(second == label)])
    ]
    matched = np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.int64)
    # Rows were permuted before: every k-th pair keeps the proportion of the classes.
    step = max(1.0, len(matched) / most)
    kept: NDArray[np.int64] = matched[(np.arange(min(len(matched), most)) * step).astype(int)]
    return kept


def _taken(examples: Examples, rows: NDArray[np.int64]) -> Examples:
    return Examples(examples.inputs[rows], examples.labels[rows])


def escrow_told(lab: Lab) -> tuple[str, ...]:
    """Says which rows were looked at and not kept."""
    told = lab.subject.spec.data.escrow
    if told is None:
        return ()
    return (f"Under escrow lie members ({told.members}) and others ({told.others}).",)


def overlap_seen(audit: Audit) -> tuple[Observation, ...]:
    """Notes evaluation rows that lie in the training data."""
    if not audit.overlap.value:
        return ()
    return (
        Observation(
            rule="privacy.overlap",
            severity=Severity.MEDIUM if audit.overlap.value >= LOW_RATE else Severity.LOW,
            detail=f"{audit.overlap.value:.1%} of {audit.overlap.n} evaluation rows lie in the "
            "training data; they were left out",
            location="evaluation",
        ),
    )


class Blind(NamedTuple):
    """How well a guess that never asks the model does: all of it is difference between the sets."""

    accuracy: Estimate
    tail: Estimate
    """Members found at 1 % false positives."""

    def control(self, attack: Estimate, own: Estimate) -> Control:
        """Returns the innocent control: accused when a shift may be all that ``attack`` found.

        Args:
            attack: What the attack on the model reached.
            own: What the blind guess reached in the same unit.
        """
        shifted = self.accuracy.low > 0.5
        explains = attack.low <= own.high + MARGIN
        return Control(
            name="a guess that never asks the model",
            planted=False,
            found=shifted and explains,
            estimate=self.accuracy,
            detail=f"guesses {self.accuracy.value:.1%} of {self.accuracy.n} rightly"
            + (
                "; members and others differ in kind, so what an attack finds may be that "
                "difference: hand in both sets from one source"
                if shifted and explains
                else ""
            ),
        )


def blind_baseline(audit: Audit, *, seed: int) -> Blind:
    """Returns what can be guessed about membership from the items alone."""
    guesses = blind_guess(audit.inputs, audit.labels, audit.members, seed=seed)
    right = int(((guesses > 0) == audit.members).sum())
    return Blind(
        binomial(right, len(guesses), CONTROL_CONFIDENCE),
        tpr_at_true_fpr(guesses[audit.members], guesses[~audit.members], LOW_RATE),
    )
