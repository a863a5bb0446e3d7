"""Does the model do as well as its vendor says?"""

import numpy as np

from tasks.checks.lab import Lab, NotApplicable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.statistics.intervals import binomial

CHECK, VERSION = "provenance.claims", 1
FAR_BELOW = 0.05
"""A claim this far above the whole interval is more than a slip."""


def measure(lab: Lab) -> Measurement:
    """Compares the claimed accuracy with the one on the evaluation data."""
    claimed = lab.subject.spec.claims.accuracy
    if claimed is None:
        raise NotApplicable("the bundle claims no accuracy")
    examples = lab.sample("evaluation", lab.count("items"))
    lab.target()
    scores = lab.run("targets.querying.scores", {"inputs": examples.inputs}).arrays["scores"]
    right = int(np.sum(scores.argmax(axis=1) == examples.labels))
    accuracy = binomial(right, len(examples.labels))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"Claimed accuracy {claimed:.4g}, measured {accuracy.value:.4g} "
        f"(95 % interval {accuracy.low:.4g} to {accuracy.high:.4g}) on {accuracy.n} items.",
        estimates={"accuracy": accuracy},
        observations=_overstated(claimed, accuracy),
        alarms=_too_vague(claimed, accuracy, lab.number("most_undetected")),
        limits=(
            "Accuracy holds for data like the evaluation data; the vendor chose that data.",
            "Only claims of accuracy are compared with a measurement here.",
        ),
        method="exact interval (Clopper-Pearson) of the accuracy against the claimed number",
        facts={"claimed_accuracy": claimed},
        cost=lab.cost,
    )


def _overstated(claimed: float, accuracy: Estimate) -> tuple[Observation, ...]:
    if claimed <= accuracy.high:
        return ()
    gap = claimed - accuracy.high
    return (
        Observation(
            rule="provenance.claims.accuracy_overstated",
            severity=Severity.HIGH if gap > FAR_BELOW else Severity.MEDIUM,
            detail=f"the vendor claims {claimed:.4g}, at most {accuracy.high:.4g} is credible",
        ),
    )


def _too_vague(claimed: float, accuracy: Estimate, most: float) -> tuple[str, ...]:
    """Says when a claim stands only because too few items were looked at."""
    room = claimed - accuracy.low
    if room <= most:
        return ()
    vague = (
        f"the accuracy may be as low as {accuracy.low:.4g}, {room:.4g} below the claim; "
        f"{accuracy.n} items cannot tell (at most {most:.4g} may stay undetected)"
    )
    return (vague,)
