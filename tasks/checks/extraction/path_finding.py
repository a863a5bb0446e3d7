"""Is the model a decision tree whose leaves can be found one by one?

Source: Tramer et al. 2016, arXiv 1609.02943. The child finds boxes; this side computes what they
answer and compares with what the model answers to inputs that were not asked.
"""

from collections.abc import Mapping

import numpy as np

from tasks.attacks.extraction.path_finding import box_of
from tasks.checks.extraction.agreement import rate
from tasks.checks.extraction.exactly import controls, rows_of, same_answers
from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.measurement import Measurement, Status
from tasks.sandbox.protocol import Array

CHECK, VERSION = "extraction.path_finding", 1


def measure(lab: Lab) -> Measurement:
    """Finds the leaves and compares the tree that they make with the model."""
    rows = rows_of(lab)
    if lab.target()["access"] == "labels":
        raise NotAvailable("the model names labels only; leaves are told apart by scores")
    reply = lab.run(
        "attacks.extraction.path_finding",
        {"pool": rows.pool},
        budget=lab.count("queries"),
        seed=lab.seed,
    )
    copied = leaves(reply.arrays, rows.flat)
    exact = rate(same_answers(copied, rows.truth, labels_only=False))
    filled = np.nan_to_num(copied)
    agreed = (filled.argmax(axis=1) == rows.truth.argmax(axis=1)) & np.isfinite(copied).all(axis=1)
    count, queries = len(reply.arrays["low"]), int(reply.values["queries"])
    found = f"A tree of {count} leaves, found with {queries} queries," if count else "No leaf"
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"{found} gives the model's answer to {exact.value:.1%} of {exact.n} other inputs.",
        estimates={
            "exact": exact,
            "fidelity": rate(agreed[: rows.held]),
            "fidelity_off_distribution": rate(agreed[rows.held :]),
        },
        controls=controls(lab, rows, leaves, attack="path_finding", planted="tree", clean="curved"),
        alarms=_alarms(count, covered=bool(reply.values["covered"])),
        limits=("Leaves with equal answers cannot be told apart; ensembles are not looked into.",),
        method="Bisection of the faces of each leaf's box along every feature; compared with fresh "
        "answers",
        facts={
            "leaves": count,
            "queries_asked": queries,
            "covered": bool(reply.values["covered"]),
        },
        cost=lab.cost,
    )


def _alarms(count: int, *, covered: bool) -> tuple[str, ...]:
    if not count or covered:
        return ()
    return ("the queries ended before every leaf was found: a patient thief finds more",)


def leaves(arrays: Mapping[str, Array], rows: Array) -> Array:
    """Returns what the boxes answer (n, classes); NaN where there is none."""
    known = arrays["answers"]
    none = np.full((1, known.shape[1] if known.ndim == 2 else 1), np.nan)
    if not len(known) or arrays["low"].shape != (len(known), rows.shape[1]):
        return np.repeat(none, len(rows), axis=0)
    places = box_of(rows.astype(np.float64), arrays["low"], arrays["high"])
    return np.concatenate([known, none])[places]
