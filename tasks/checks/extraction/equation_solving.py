"""Is the model a linear one that a few queries give away completely?

Source: Tramer et al. 2016, arXiv 1609.02943. The child solves for weights; this side computes what
they answer and compares with what the model answers to inputs that were not asked.
"""

import json
from collections.abc import Mapping

import numpy as np

from tasks.checks.extraction.agreement import rate
from tasks.checks.extraction.exactly import Rows, controls, rows_of, same_answers
from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.measurement import Artifact, Measurement, Status
from tasks.sandbox.protocol import Array, Reply

CHECK, VERSION = "extraction.equation_solving", 1
ATTACK = "attacks.extraction.equation_solving"


def measure(lab: Lab) -> Measurement:
    """Solves for the weights, and asks labels alone too where scores gave the model away."""
    rows = rows_of(lab)
    labels_only = lab.target()["access"] == "labels"
    reply = _solved(lab, rows, labels_only=labels_only)
    if not len(reply.arrays["weights"]):
        raise NotAvailable(f"{lab.count('queries')} queries are too few to solve for these weights")
    copied = linear(reply.arrays, rows.flat)
    same = same_answers(copied, rows.truth, labels_only=labels_only)
    agreed = copied.argmax(axis=1) == rows.truth.argmax(axis=1)
    exact, queries = rate(same), int(reply.values["queries"])
    facts: dict[str, str | int | float | bool | None] = {
        "access": str(lab.target()["access"]),
        "equations": int(reply.values["equations"]),
        "queries_asked": queries,
        "quota_queries": None if exact.high <= 0.9 else queries - 1,
    }
    if not labels_only and exact.low > 0.9:
        facts |= _by_labels(lab, rows)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"Weights solved from {queries} queries give the same answer as the model to "
            f"{exact.value:.1%} of {exact.n} other inputs, half of them off distribution."
        ),
        estimates={
            "exact": exact,
            "fidelity": rate(agreed[: rows.held]),
            "fidelity_off_distribution": rate(agreed[rows.held :]),
        },
        controls=controls(
            lab,
            rows,
            linear,
            attack="equation_solving",
            planted="linear",
            clean="curved",
            labels_only=labels_only,
        ),
        limits=("A model that is not linear is not what this method asks about.",),
        method="Linear equations in the weights, solved from differences of log-probabilities "
        "(labels: from points on class boundaries); compared with fresh answers",
        facts=facts,
        artifacts=(_weights(lab, reply),) if exact.low > 0.9 else (),
        cost=lab.cost,
    )


def linear(arrays: Mapping[str, Array], rows: Array) -> Array:
    """Returns the scores that recovered weights give (n, classes); NaN without weights."""
    weights, offset = arrays["weights"], arrays["offset"]
    if not len(weights) or weights.shape[1] != rows.shape[1]:
        return np.full((len(rows), max(1, len(weights))), np.nan)
    scores: Array = rows.astype(np.float64) @ weights.T + offset
    return scores


def _solved(lab: Lab, rows: Rows, *, labels_only: bool) -> Reply:
    return lab.run(
        ATTACK,
        {"pool": rows.pool},
        budget=lab.count("queries"),
        labels_only=labels_only,
        seed=lab.seed,
    )


def _by_labels(lab: Lab, rows: Rows) -> dict[str, str | int | float | bool | None]:
    """Says what a thief would need if the model answered labels only."""
    reply = _solved(lab, rows, labels_only=True)
    copied = linear(reply.arrays, rows.flat)
    if not len(reply.arrays["weights"]):
        return {"labels_only_queries": None}
    same = same_answers(copied, rows.truth, labels_only=True)
    return {
        "labels_only_queries": int(reply.values["queries"]),
        "labels_only_fidelity": round(float(same.mean()), 4),
    }


def _weights(lab: Lab, reply: Reply) -> Artifact:
    document = {name: reply.arrays[name].tolist() for name in ("weights", "offset")}
    return lab.keep(
        "weights.json",
        title="The recovered weights: whoever holds them holds the model",
        media_type="application/json",
        data=json.dumps(document, sort_keys=True).encode(),
    )
