"""Which training rows would an expert look at first, and how well does each detector see here?

Up to eight detectors score a sample of the rows (``tasks/detectors/poisoning``); this side joins
their ranks, counts contradicted labels and repeated rows, and measures every detector on a copy
with flipped labels, a trigger and an injected row.
"""

import json
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats, binomial
from tasks.statistics.roc import auc

CHECK, VERSION = "poisoning.dossier", 2
DETECTORS = (
    "confident_learning", "margins", "deep_knn", "spectre", "activation_clustering", "influence",
    "near_duplicates", "strip",
)  # fmt: skip
KINDS = ("flipped labels", "a trigger", "one row injected many times")
LEAST_ROWS = 100
SEEN = 0.85
"""Area under the curve from which the best detector sees a planted kind."""
MANY_ERRORS, SURE = 0.05, 0.9
"""Contradicted labels count as a defect beyond this share, where labels can be read this well."""
MANY_TWINS, MANY_REPEATED = 5, 0.01
COMMONPLACE = 0.05
"""Share of rows drawn column by column above which a repeat says little."""
KEPT_ROWS, KEPT_PICTURES = 200, 8
_LIMITS = (
    "Contradicted labels are counted, not proven; where classes overlap, hard rows count too.",
    "The joined order says where to look first and carries no error rate of its own.",
)
_COMMONPLACE = (
    "Rows drawn column by column repeat each other too: in this table repeats are commonplace and "
    "say little."
)


class Opinions(NamedTuple):
    """Every detector's scores of the sample (m,) each, and what else is known of its rows."""

    scores: dict[str, Floats]
    rows: Array
    planted: Array
    labels: Array
    read: Array
    contradicted: NDArray[np.bool_]
    commonplace: bool

    def joined(self) -> Floats:
        """Returns one score (m,): the mean over detectors of minus the log of the rank's share."""
        parts = [-np.log(_rank_shares(score)) for score in self.scores.values()]
        return np.asarray(np.mean(parts, axis=0), np.float64)


def measure(lab: Lab) -> Measurement:
    """Scores the training rows, and a spoilt copy of them to know what the scores are worth."""
    examples = lab.examples("training")
    rows = Examples(examples.inputs.astype(np.float32), examples.labels.astype(np.int64))
    if len(rows.labels) < LEAST_ROWS or len(np.unique(rows.labels)) < 2:
        raise NotAvailable(
            f"{len(rows.labels)} training rows of {len(np.unique(rows.labels))} classes came; at "
            f"least {LEAST_ROWS} of two are needed to compare them"
        )
    found = _asked(lab, rows)
    spoilt = _asked(lab, rows, plant=lab.number("planted_part"))
    controls = (*_planted_controls(spoilt), _honest_control(spoilt, lab.seed))
    errors = binomial(int(found.contradicted.sum()), len(found.labels))
    repeated = found.scores["near_duplicates"] >= MANY_TWINS
    repeats = binomial(int(repeated.sum()), len(found.labels))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=(
            f"Of {len(found.labels)} rows looked at, {found.contradicted.sum()} carry a label that "
            f"networks contradict with confidence and {repeated.sum()} nearly repeat "
            f"{MANY_TWINS} others or more."
        ),
        estimates={
            "contradicted_labels": errors,
            "repeated_rows": repeats,
            **_powers(spoilt),
        },
        observations=(*_label_errors(found, errors), *_repeats(found, repeats)),
        controls=controls,
        limits=(*_LIMITS, *((_COMMONPLACE,) if found.commonplace else ())),
        method="Ranks of all detectors joined; each measured on planted rows in the same run.",
        facts={
            "rows": len(found.labels),
            "labels_read": float(round((found.read == found.labels).mean(), 4)),
        },
        artifacts=_artifacts(lab, rows, found),
        cost=lab.cost,
    )  # fmt: skip


def _asked(lab: Lab, rows: Examples, plant: float = 0.0) -> Opinions:
    arrays, values = lab.run(
        "detectors.poisoning.dossier",
        {"inputs": rows.inputs, "labels": rows.labels},
        most=lab.count("rows"),
        seed=lab.seed,
        plant=plant,
    )
    return Opinions(
        {name: arrays[name].astype(np.float64) for name in DETECTORS if name in arrays},
        arrays["rows"],
        arrays["planted"],
        arrays["labels"],
        arrays["read"],
        arrays["contradicted"].astype(np.bool_),
        float(values["commonplace"]) > COMMONPLACE,
    )


def _rank_shares(scores: Floats) -> Floats:
    """Returns the part of the rows that score at least as high (m,), ties alike."""
    ordered = np.sort(scores)
    at_least = len(scores) - np.searchsorted(ordered, scores, "left")
    return np.asarray(at_least / len(scores), np.float64)


def _powers(spoilt: Opinions) -> dict[str, Estimate]:
    powers = {}
    for which, kind in enumerate(KINDS):
        hit, clean = spoilt.planted == which, spoilt.planted < 0
        if not hit.any() or not clean.any():
            continue
        scores = spoilt.scores | {"joined": spoilt.joined()}
        for name, score in scores.items():
            powers[f"{name} on {kind}"] = auc(score[hit], score[clean])
    return powers


def _planted_controls(spoilt: Opinions) -> list[Control]:
    powers = _powers(spoilt)
    controls = []
    for kind in KINDS:
        of_kind = {name: value for name, value in powers.items() if name.endswith(f" on {kind}")}
        if not of_kind:
            continue
        best = max(of_kind, key=lambda name: of_kind[name].value)
        controls.append(
            Control(
                name=kind,
                planted=True,
                found=of_kind[best].value >= SEEN,
                estimate=of_kind[best],
                detail=f"seen best by {best.removesuffix(f' on {kind}')}",
            )
        )
    return controls


def _honest_control(spoilt: Opinions, seed: int) -> Control:
    """Rows drawn at random are nothing special; no detector may rank them high."""
    clean = np.flatnonzero(spoilt.planted < 0)
    drawn = np.zeros(len(spoilt.labels), np.bool_)
    drawn[np.random.default_rng(seed).permutation(clean)[: len(clean) // 4]] = True
    joined = spoilt.joined()
    area = auc(joined[drawn], joined[~drawn & (spoilt.planted < 0)])
    return Control(
        name="rows drawn at random",
        planted=False,
        found=area.low >= SEEN,
        estimate=area,
        detail="area of the joined score for rows to which nothing was done",
    )


def _label_errors(found: Opinions, errors: Estimate) -> list[Observation]:
    if errors.value == 0:
        return []
    readable = float((found.read == found.labels)[~found.contradicted].mean()) >= SURE
    severe = errors.low > MANY_ERRORS and readable
    pairs = np.stack([found.labels, found.read])[:, found.contradicted]
    kinds, counts = np.unique(pairs, axis=1, return_counts=True)
    worst = int(counts.argmax())
    return [
        Observation(
            rule="poisoning.contradicted_labels",
            severity=Severity.MEDIUM if severe else Severity.LOW,
            detail=(
                f"{errors.value:.2%} of the labels are contradicted with confidence; most often "
                f"{kinds[0, worst]} is read as {kinds[1, worst]} ({counts[worst]} rows)"
            ),
            location="training",
        )
    ]


def _repeats(found: Opinions, repeats: Estimate) -> list[Observation]:
    if repeats.value == 0:
        return []
    severe = repeats.low > MANY_REPEATED and not found.commonplace
    return [
        Observation(
            rule="poisoning.near_duplicates",
            severity=Severity.MEDIUM if severe else Severity.LOW,
            detail=f"{repeats.value:.2%} of the rows nearly repeat {MANY_TWINS} others or more",
            location="training",
        )
    ]


def _artifacts(lab: Lab, rows: Examples, found: Opinions) -> tuple[Artifact, ...]:
    order = np.argsort(-found.joined(), kind="stable")[:KEPT_ROWS]
    shares = {name: _rank_shares(score) for name, score in found.scores.items()}
    listed = [
        {
            "row": int(found.rows[at]),
            "label": int(found.labels[at]),
            "read": int(found.read[at]),
            "contradicted": bool(found.contradicted[at]),
            "rank_shares": {name: round(float(share[at]), 5) for name, share in shares.items()},
        }
        for at in order
    ]
    shown = found.rows[order[:KEPT_PICTURES]]
    return (
        lab.keep(
            "dossier.json",
            title="Rows to look at first, with the rank that each detector gives",
            media_type="application/json",
            data=json.dumps(listed, sort_keys=True).encode(),
        ),
        lab.keep(
            "samples.safetensors",
            title="The rows that all detectors together find strangest",
            media_type="application/octet-stream",
            data=safetensors.numpy.save(
                {
                    "inputs": np.ascontiguousarray(rows.inputs[shown]),
                    "labels": np.ascontiguousarray(rows.labels[shown]),
                }
            ),
        ),
    )
