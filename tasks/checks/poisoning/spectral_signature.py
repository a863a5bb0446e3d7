"""Do training rows lie where no honest row of their class lies?

The child scores rows (``tasks/detectors/poisoning``); this side turns scores into p-values against
the evaluation rows, flags at a false discovery rate of 5 %, and counts. The same scoring runs on a
copy with planted poison, and on evaluation rows held out as if they were training data.
"""

import json
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.measurement import Artifact, Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import binomial
from tasks.statistics.multiple import benjamini_hochberg, conformal_p_values

CHECK, VERSION = "poisoning.spectral_signature", 1
FALSE_DISCOVERIES = 0.05
TAIL = 0.1
"""Beyond this part of the null scores the p-value follows an exponential tail."""
FOUND = 0.5
"""Part of the planted rows that must be flagged."""
TOLERATED = 0.01
"""Flagged part above which an honest control counts as accused; the gate's threshold."""
LEAST_REFERENCE = 100
KEPT_ROWS, KEPT_PICTURES, BINS = 100, 8, 30
_METHOD = (
    "Whitened distance from the class centre in a network trained on these rows, and nearness to "
    "other classes in the inputs; p-values against evaluation rows; Benjamini-Hochberg at 5 %."
)
_LIMITS = (
    "Evaluation rows serve as the honest reference; poison that is also in them is not seen.",
    "Poison that keeps the right label moves rows little; power against it is not measured.",
)

Scores = NDArray[np.float64]


class Scored(NamedTuple):
    """One run of the scoring: p-values and marks per row, and what the child said of the rows."""

    p_values: Scores
    flagged: NDArray[np.bool_]
    labels: Array
    planted: Array
    outlier: Scores
    spectra: Scores

    def share(self) -> tuple[int, int]:
        """Returns how many rows were flagged, of how many."""
        return int(self.flagged.sum()), len(self.flagged)


def measure(lab: Lab) -> Measurement:
    """Measures the training data between its two controls."""
    lab.examples("training")
    rows = _float(lab.sample("training", lab.count("rows")))
    reference = _float(lab.sample("evaluation", lab.count("reference_rows")))
    _usable(rows, reference)
    scored = _scored(lab, rows, reference)
    planted = _scored(lab, rows, reference, plant=lab.number("planted_part"))
    half = len(reference.labels) // 2
    honest = _scored(lab, _part(reference, slice(0, half)), _part(reference, slice(half, None)))
    controls = (_planted_control(planted), _honest_control(honest))
    count, total = scored.share()
    suspected = _suspected(scored)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(scored, suspected),
        estimates={"flagged_fraction": binomial(count, total)},
        controls=controls,
        limits=_LIMITS,
        method=_METHOD,
        facts={
            "rows": total,
            "flagged_rows": count,
            "suspected_class": suspected,
            "flagged_in_suspected_class": int(scored.flagged[scored.labels == suspected].sum()),
            "reference_rows": len(reference.labels),
        },
        artifacts=_artifacts(lab, rows, scored, suspected),
        cost=lab.cost,
    )


def tail_p_values(scores: Scores, null: Scores) -> Scores:
    """Returns the chance that an honest row scores at least as high.

    Conformal up to the 90th percentile of ``null``; beyond it an exponential tail with the mean
    excess of ``null``, because n honest rows alone cannot show a p-value below 1 / (n + 1), which
    would leave the correction for many rows without power. The honest control watches this guess.
    """
    edge = float(np.quantile(null, 1 - TAIL))
    beyond = null[null > edge]
    reach = max(float((beyond - edge).mean()), 1e-9) if len(beyond) else 1e-9
    ranked = conformal_p_values(scores, null)
    tailed: Scores = TAIL * np.exp(-np.maximum(scores - edge, 0) / reach)
    return np.where(scores > edge, tailed, ranked)


def _scored(lab: Lab, rows: Examples, reference: Examples, *, plant: float = 0.0) -> Scored:
    arrays = lab.run(
        "detectors.poisoning.spectral_signature",
        {
            "inputs": rows.inputs,
            "labels": rows.labels,
            "reference": reference.inputs,
            "reference_labels": reference.labels,
        },
        plant=plant,
        steps=lab.count("steps"),
        seed=lab.seed,
    ).arrays
    both = [
        tail_p_values(arrays[name].astype(np.float64), arrays[f"reference_{name}"])
        for name in ("outlier", "foreign")
    ]
    p_values: Scores = np.minimum(1.0, 2 * np.minimum(*both))  # Bonferroni over the two scores
    return Scored(
        p_values,
        benjamini_hochberg(p_values, FALSE_DISCOVERIES),
        arrays["labels"],
        arrays["planted"].astype(np.bool_),
        arrays["outlier"],
        arrays["spectra"],
    )


def _usable(rows: Examples, reference: Examples) -> None:
    if len(reference.labels) < LEAST_REFERENCE or len(rows.labels) < LEAST_REFERENCE:
        raise NotAvailable(
            f"{len(rows.labels)} training and {len(reference.labels)} evaluation rows came; "
            f"at least {LEAST_REFERENCE} of each are needed to know what an honest row looks like"
        )
    if rows.inputs.shape[1:] != reference.inputs.shape[1:]:
        raise NotAvailable("training and evaluation rows have different shapes")


def _float(examples: Examples) -> Examples:
    return Examples(examples.inputs.astype(np.float32), examples.labels.astype(np.int64))


def _part(examples: Examples, rows: slice) -> Examples:
    return Examples(examples.inputs[rows], examples.labels[rows])


def _suspected(scored: Scored) -> int | None:
    """Returns the class that holds most of the flagged rows."""
    if not scored.flagged.any():
        return None
    return int(np.bincount(scored.labels[scored.flagged]).argmax())


def _planted_control(scored: Scored) -> Control:
    hits, total = int(scored.flagged[scored.planted].sum()), int(scored.planted.sum())
    return Control(
        name="planted poison",
        planted=True,
        found=total > 0 and hits >= FOUND * total,
        estimate=binomial(hits, total) if total else None,
        detail=f"{total} rows of a copy got a bright patch and a new label; {hits} were flagged",
    )


def _honest_control(scored: Scored) -> Control:
    count, total = scored.share()
    return Control(
        name="held-out evaluation rows",
        planted=False,
        found=binomial(count, total).low > TOLERATED,
        estimate=binomial(count, total),
        detail=f"{count} of {total} honest rows were flagged when scored as training data",
    )


def _detail(scored: Scored, suspected: int | None) -> str:
    count, total = scored.share()
    if suspected is None:
        return f"None of {total} training rows lies where no honest row of its class lies."
    inside = int(scored.flagged[scored.labels == suspected].sum())
    return (
        f"{count} of {total} training rows lie where no honest row of their class lies; "
        f"{inside} of them are labelled {suspected}."
    )


def _artifacts(
    lab: Lab, rows: Examples, scored: Scored, suspected: int | None
) -> tuple[Artifact, ...]:
    order = np.argsort(scored.p_values, kind="stable")
    data = lab.subject.dataset("training")
    assert data is not None, "rows of it were just looked at"
    places = lab.places(data.rows, lab.count("rows"))
    top = [int(row) for row in order[:KEPT_ROWS] if scored.flagged[row]]
    listed = [
        {
            "row": int(places[row]),
            "label": int(scored.labels[row]),
            "p_value": float(scored.p_values[row]),
            "outlier": float(scored.outlier[row]),
        }
        for row in top
    ]
    kept = [
        _json(lab, "flagged.json", "Training rows that lie apart from their class", listed),
        _json(
            lab, "spectra.json", "How far rows lie from their class", _spectra(scored, suspected)
        ),
    ]
    if top:
        shown = np.ascontiguousarray(rows.inputs[top[:KEPT_PICTURES]])
        labels = np.ascontiguousarray(rows.labels[top[:KEPT_PICTURES]])
        kept.append(
            lab.keep(
                "samples.safetensors",
                title="The rows that lie farthest from their class",
                media_type="application/octet-stream",
                data=safetensors.numpy.save({"inputs": shown, "labels": labels}),
            )
        )
    return tuple(kept)


def _spectra(scored: Scored, suspected: int | None) -> dict[str, object]:
    """Returns histograms of the distances of a suspected and of an ordinary class."""
    known = np.unique(scored.labels)
    first = suspected if suspected is not None else int(known[0])
    counts = [int(scored.flagged[scored.labels == label].sum()) for label in known]
    others = [
        int(label) for label, _ in sorted(zip(known, counts, strict=True), key=lambda pair: pair[1])
    ]
    ordinary = next(label for label in others if label != first or len(others) == 1)
    edges = np.linspace(0, max(float(scored.outlier.max()), 1e-9), BINS + 1)
    return {
        "edges": edges.tolist(),
        "classes": {
            str(label): np.histogram(scored.outlier[scored.labels == label], edges)[0].tolist()
            for label in (first, ordinary)
        },
        "suspected": suspected,
        "singular_values": scored.spectra.tolist(),
    }


def _json(lab: Lab, name: str, title: str, value: object) -> Artifact:
    data = json.dumps(value, sort_keys=True).encode()
    return lab.keep(name, title=title, media_type="application/json", data=data)
