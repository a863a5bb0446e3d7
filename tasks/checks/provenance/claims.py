"""Does the model do as well as its vendor says, in the manifest or in the model card?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.checks.lab import Lab, NotApplicable
from tasks.domain.errors import InvalidInputError
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.intake.contradictions import accuracy_of
from tasks.intake.model_card import read_card
from tasks.intake.provenance import MOST_DOCUMENT_BYTES
from tasks.intake.stated_facts import Topic, facts_of_card
from tasks.statistics.intervals import binomial

CHECK, VERSION = "provenance.claims", 2
FAR_BELOW = 0.05
"""A claim this far above the whole interval is more than a slip."""


class Claim(NamedTuple):
    """An accuracy that somebody states, less what its rounding may hide, and where."""

    accuracy: float
    rounding: float
    place: str


def measure(lab: Lab) -> Measurement:
    """Compares every claimed accuracy with the one on the evaluation data."""
    claims = _claims(lab)
    if not claims:
        raise NotApplicable("neither the bundle nor its model card claims an accuracy")
    examples = lab.sample("evaluation", lab.count("items"))
    lab.target()
    scores = lab.run("targets.querying.scores", {"inputs": examples.inputs}).arrays["scores"]
    right = int(np.sum(scores.argmax(axis=1) == examples.labels))
    accuracy = binomial(right, len(examples.labels))
    first = claims[0]
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"Claimed accuracy {first.accuracy:.4g}, measured {accuracy.value:.4g} "
        f"(95 % interval {accuracy.low:.4g} to {accuracy.high:.4g}) on {accuracy.n} items.",
        estimates={"accuracy": accuracy},
        observations=_overstated(claims, accuracy),
        alarms=_too_vague(first.accuracy, accuracy, lab.number("most_undetected")),
        limits=(
            "Accuracy holds for data like the evaluation data; the vendor chose that data.",
            "Only claims of accuracy are compared with a measurement here.",
        ),
        method="exact interval (Clopper-Pearson) of the accuracy against the claimed numbers",
        facts={"claimed_accuracy": first.accuracy},
        cost=lab.cost,
    )


def _claims(lab: Lab) -> list[Claim]:
    """Returns what the manifest claims, then what the model card states."""
    spec = lab.subject.spec
    claimed = spec.claims.accuracy
    found = [] if claimed is None else [Claim(claimed, 0.0, "bundle.yaml")]
    path = spec.documents.model_card
    file = lab.subject.file(path) if path else None
    if path is None or file is None or file.size_bytes > MOST_DOCUMENT_BYTES:
        return found
    try:
        card = read_card(lab.path(path).read_bytes(), place=path)
    except InvalidInputError:
        return found  # told by the check of the documents
    facts = facts_of_card(card, paper="card", place=path)
    stated = [accuracy_of(fact.text) for fact in facts if fact.topic is Topic.ACCURACY]
    known = [each for each in stated if each is not None]
    # A card of several data sets states several; one of them is this one's.
    return found + ([Claim(*min(known), path)] if known else [])


def _overstated(claims: Sequence[Claim], accuracy: Estimate) -> tuple[Observation, ...]:
    gaps = [(claim, claim.accuracy - claim.rounding - accuracy.high) for claim in claims]
    return tuple(
        Observation(
            rule="provenance.claims.accuracy_overstated",
            severity=Severity.HIGH if gap > FAR_BELOW else Severity.MEDIUM,
            detail=f"the vendor claims {claim.accuracy:.4g}, at most {accuracy.high:.4g} is "
            "credible",
            location=claim.place,
        )
        for claim, gap in gaps
        if gap > 0
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
