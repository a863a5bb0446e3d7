"""Is the model wrong more often than it was, now that labels arrived?"""

import numpy as np

from tasks.checks.drift.pair import pair
from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.drift.watch import risk_counts
from tasks.domain.measurement import Control, Measurement, Status
from tasks.statistics.intervals import binomial, difference

CHECK, VERSION = "drift.concept", 1
LEAST = 100
_METHOD = "Share of wrong answers, now minus reference, with the interval of Newcombe (method 10)."
_LIMITS = (
    "Labelled rows must be a fair sample of all; labels that come only for complaints are not.",
    "Over many nights drift.watch weighs the same risk with one false alarm for all of them.",
)
Wrong = tuple[int, int]
"""Rows answered wrongly, and rows with a label."""


def measure(lab: Lab) -> Measurement:
    """Compares the risk of both tables, between two controls."""
    both, tolerance = pair(lab), lab.number("settle_at")
    before, now = risk_counts(both.reference), risk_counts(both.current)
    if min(before[1], now[1]) < LEAST:
        raise NotAvailable(
            f"{before[1]} rows of the reference and {now[1]} of now have a prediction and a label; "
            f"{LEAST} are needed: name them with --labels and --predictions"
        )
    found = difference(now, before)
    controls = _controls(before, now[1], tolerance, lab.seed)
    old, new = (binomial(*counts).value for counts in (before, now))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"Wrong in {new:.2%} of {now[1]} labelled rows, {old:.2%} of {before[1]} before.",
        estimates={
            "risk_increase": found,
            "risk": binomial(*now),
            "reference_risk": binomial(*before),
        },
        controls=controls,
        limits=_LIMITS,
        method=_METHOD,
        facts={"labelled_rows": now[1], "reference_labelled_rows": before[1]},
    )


def _controls(before: Wrong, rows: int, tolerance: float, seed: int) -> tuple[Control, ...]:
    """Splits the labelled reference in two; in the planted case some answers turn wrong."""
    rng = np.random.default_rng(seed)
    drawn = min(rows, before[1] // 2)
    wrong = int(rng.hypergeometric(before[0], before[1] - before[0], drawn))
    rest = before[0] - wrong, before[1] - drawn
    share = min(1.0, 2 * tolerance / max(1e-9, 1 - wrong / drawn))
    turned = wrong + int(rng.binomial(drawn - wrong, share))
    clean, planted = difference((wrong, drawn), rest), difference((turned, drawn), rest)
    return (
        Control(
            name="planted change",
            planted=True,
            found=planted.low > tolerance,
            estimate=planted,
            detail=f"{turned - wrong} more of {drawn} reference rows called wrong",
        ),
        Control(
            name="two halves of the reference",
            planted=False,
            found=clean.low > tolerance,
            estimate=clean,
            detail=f"{drawn} labelled rows of the reference against the other {rest[1]}",
        ),
    )
