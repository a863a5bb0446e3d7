"""Do some training rows teach a hidden trigger, and is it gone without them?

The child proposes triggers and says what networks do with and without the rows that carry them
(``tasks/detectors/poisoning``); this side confirms or drops each by these numbers, and counts. The
same search runs on a copy with two planted triggers, and on rows that ought to be honest.
"""

import json
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Artifact, Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import binomial

CHECK, VERSION = "poisoning.trigger_mining", 2
LEAST_ROWS = 100
LOST = 0.75
"""Training without its rows must take away this part of a trigger's effect …"""
KEPT = 0.6
"""… while training without as many random rows leaves this part of it."""
FOUND = 0.8
"""Part of each planted trigger's rows that must be flagged."""
TOLERATED = 0.01
"""Flagged part above which the honest rows count as accused."""
KEPT_ROWS, KEPT_PICTURES = 1000, 8
_KINDS = ("planted patch or columns", "planted overlay or columns")
_METHOD = (
    "Odd groups in a network trained on the rows, grown by a matched filter; what a group shares "
    "is stamped on clean rows of other classes; rows are flagged by the stamp (conformal p-values, "
    "Benjamini-Hochberg at 5 %) when training without them takes the effect away."
)
_LIMITS = (
    "A trigger that the scan's own small network does not learn is neither found nor measured.",
    "Triggers that differ from row to row, or warp the picture, leave no common stamp.",
)
Marks = NDArray[np.int64]


class Scan(NamedTuple):
    """One search: which confirmed trigger each row carries (n,), and what is known of each."""

    marks: Marks
    p_values: NDArray[np.float64]
    planted: Marks
    labels: Marks
    triggers: tuple[dict[str, Any], ...]
    templates: dict[str, Array]
    right: tuple[int, ...]
    tests: int

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Which rows carry a confirmed trigger (n,)."""
        return self.marks >= 0


def measure(lab: Lab) -> Measurement:
    """Searches the training data between a planted and an honest control."""
    rows = _floats(lab.examples("training"))
    clean = _clean(lab)
    if len(rows.labels) < LEAST_ROWS or len(np.unique(rows.labels)) < 2:
        raise NotAvailable(
            f"{len(rows.labels)} training rows of {len(np.unique(rows.labels))} classes came; at "
            f"least {LEAST_ROWS} of two are needed to learn from"
        )
    scan = _scanned(lab, rows, clean, most=lab.count("rows"))
    planted = _scanned(
        lab, _drawn(rows, ~scan.flagged, lab.count("control_rows"), lab.seed), clean,
        most=lab.count("control_rows"), plant=lab.number("planted_part"),
    )  # fmt: skip
    honest_rows, whose = _honest_rows(lab, rows, clean, scan)
    honest = _scanned(lab, honest_rows, None, most=lab.count("control_rows"))
    controls = (*_planted_controls(planted), _honest_control(honest, whose))
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=_detail(scan),
        estimates=_estimates(scan),
        observations=tuple(_observed(scan, which) for which in range(len(scan.triggers))),
        controls=controls,
        limits=_LIMITS,
        method=_METHOD,
        facts=_facts(scan),
        artifacts=_artifacts(lab, rows, scan),
        cost=lab.cost,
    )


def confirmed(trigger: dict[str, Any]) -> bool:
    """Answers whether a trigger hangs on its rows: gone without them, there without others."""
    effect = float(trigger["effect"])
    return bool(
        float(trigger["without"]) <= (1 - LOST) * effect
        and float(trigger["random"]) >= KEPT * effect
    )


def _scanned(
    lab: Lab, rows: Examples, clean: Examples | None, *, most: int, plant: float = 0.0
) -> Scan:
    more = {} if clean is None else {"clean_inputs": clean.inputs, "clean_labels": clean.labels}
    arrays, values = lab.run(
        "detectors.poisoning.trigger_mining",
        {"inputs": rows.inputs, "labels": rows.labels, **more},
        most=most,
        seed=lab.seed,
        plant=plant,
    )
    told = [dict(each) for each in values["triggers"]]
    kept = [which for which, trigger in enumerate(told) if confirmed(trigger)]
    marks = np.full(len(rows.labels), -1)
    for place, which in enumerate(kept):
        marks[arrays["trigger"] == which] = place
    return Scan(
        marks,
        np.where(marks >= 0, arrays["p_values"], 1.0),
        arrays["planted"],
        arrays["labels"],
        tuple(told[which] for which in kept),
        {name: arrays[name][kept] for name in ("keep", "shift", "fixed")},
        tuple(int(right) for right in values["right"]),
        int(values["tests"]),
    )


def _clean(lab: Lab) -> Examples | None:
    """Returns evaluation rows for the accuracy, where they came and fit."""
    try:
        rows = _floats(lab.sample("evaluation", lab.count("control_rows")))
        training = lab.examples("training")
    except NotAvailable:
        return None
    fits = rows.inputs.shape[1:] == training.inputs.shape[1:]
    known = set(np.unique(rows.labels)) <= set(np.unique(training.labels))
    return rows if fits and known and len(rows.labels) >= LEAST_ROWS else None


def _honest_rows(
    lab: Lab, rows: Examples, clean: Examples | None, scan: Scan
) -> tuple[Examples, str]:
    """Returns evaluation rows, or the training rows that are left when the flagged ones are out."""
    if clean is not None and len(clean.labels) >= LEAST_ROWS:
        return clean, "evaluation rows"
    rest = _drawn(rows, ~scan.flagged, lab.count("control_rows"), lab.seed + 1)
    return rest, "training rows that are left"


def _drawn(rows: Examples, among: NDArray[np.bool_], most: int, seed: int) -> Examples:
    places = np.flatnonzero(among)
    chosen = np.random.default_rng(seed).permutation(places)[:most]
    return Examples(rows.inputs[chosen], rows.labels[chosen])


def _floats(examples: Examples) -> Examples:
    return Examples(examples.inputs.astype(np.float32), examples.labels.astype(np.int64))


def _planted_controls(scan: Scan) -> list[Control]:
    controls = []
    for which, name in enumerate(_KINDS):
        rows = scan.planted == which
        hits, total = int((rows & scan.flagged).sum()), int(rows.sum())
        if not total:
            continue
        wrong = int((scan.flagged & (scan.planted < 0)).sum())
        controls.append(
            Control(
                name=name,
                planted=True,
                found=hits >= FOUND * total,
                estimate=binomial(hits, total),
                detail=f"{hits} of {total} planted rows were flagged, {wrong} others beside them",
            )
        )
    return controls


def _honest_control(scan: Scan, whose: str) -> Control:
    count, total = int(scan.flagged.sum()), len(scan.flagged)
    return Control(
        name=whose,
        planted=False,
        found=binomial(count, total).low > TOLERATED,
        estimate=binomial(count, total),
        detail=f"{count} of {total} rows were flagged when searched as training data",
    )


def _estimates(scan: Scan) -> dict[str, Estimate]:
    estimates = {"flagged_fraction": binomial(int(scan.flagged.sum()), len(scan.flagged))}
    names = ("accuracy_of_all_rows", "accuracy_without_flagged", "accuracy_without_random")
    for name, right in zip(names, scan.right, strict=False):
        estimates[name] = binomial(right, scan.tests)
    for which, trigger in enumerate(scan.triggers):
        asked = int(trigger["asked"])
        for name in ("effect", "without", "random"):
            hits = round(max(0.0, float(trigger[name])) * asked)
            estimates[f"trigger_{which + 1}_{name}"] = binomial(hits, asked)
    return estimates


def _detail(scan: Scan) -> str:
    if not scan.triggers:
        return f"No group of the {len(scan.marks)} training rows teaches a trigger."
    count = int(scan.flagged.sum())
    return f"{count} of {len(scan.marks)} training rows teach {len(scan.triggers)} trigger(s)."


def _observed(scan: Scan, which: int) -> Observation:
    trigger, rows = scan.triggers[which], int((scan.marks == which).sum())
    return Observation(
        rule="poisoning.trigger",
        severity=Severity.HIGH,
        detail=(
            f"{rows} rows labelled {trigger['label']} share a stamp that turns "
            f"{trigger['effect']:.0%} of clean rows into that class, {trigger['without']:.0%} when "
            f"they are left out and {trigger['random']:.0%} when as many random rows are"
        ),
        location="training",
    )


def _facts(scan: Scan) -> dict[str, str | int | float | bool | None]:
    facts: dict[str, str | int | float | bool | None] = {
        "rows": len(scan.marks),
        "flagged_rows": int(scan.flagged.sum()),
        "triggers": len(scan.triggers),
        "suspected_class": int(scan.triggers[0]["label"]) if scan.triggers else None,
    }
    for which, trigger in enumerate(scan.triggers):
        facts[f"trigger_{which + 1}_energy"] = round(float(trigger["energy"]), 4)
        facts[f"trigger_{which + 1}_fixed_values"] = int(trigger["fixed"])
    return facts


def _artifacts(lab: Lab, rows: Examples, scan: Scan) -> tuple[Artifact, ...]:
    order = np.argsort(scan.p_values, kind="stable")
    flagged = [int(row) for row in order if scan.flagged[row]]
    listed = [
        {
            "row": row,
            "label": int(scan.labels[row]),
            "trigger": int(scan.marks[row]) + 1,
            "p_value": float(scan.p_values[row]),
        }
        for row in flagged[:KEPT_ROWS]
    ]
    kept = [
        lab.keep(
            "flagged.json",
            title="Training rows that carry a trigger",
            media_type="application/json",
            data=json.dumps(listed, sort_keys=True).encode(),
        )
    ]
    if flagged:
        shown = flagged[:KEPT_PICTURES]
        kept += [
            _tensors(
                lab, "quarantine.safetensors", "Every row to be quarantined, by place",
                {"rows": np.sort(np.array(flagged, np.int64))},
            ),
            _tensors(
                lab, "triggers.safetensors", "What was found stamped on the rows", scan.templates
            ),
            _tensors(
                lab, "samples.safetensors", "Rows that carry a trigger",
                {
                    "inputs": np.ascontiguousarray(rows.inputs[shown]),
                    "labels": np.ascontiguousarray(rows.labels[shown]),
                },
            ),
        ]  # fmt: skip
    return tuple(kept)


def _tensors(lab: Lab, name: str, title: str, tensors: dict[str, Array]) -> Artifact:
    packed = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    return lab.keep(
        name,
        title=title,
        media_type="application/octet-stream",
        data=safetensors.numpy.save(packed),
    )
