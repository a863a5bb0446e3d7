"""Are the labelled items whole, in range, balanced, and apart from the training data?"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.detectors.data.profile import fingerprints, profile
from tasks.detectors.data.rules import Demands, Rule, broken_rules, rules_for
from tasks.domain.bundle import InputSpec
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.sandbox.protocol import Array

CHECK, VERSION = "data.validation", 1
ROLES = ("training", "evaluation")
PLANTED = ("data.not_finite", "data.range.highest", "data.label_range")
"""The rules that one spoilt row must break."""


def measure(lab: Lab) -> Measurement:
    """Validates every set that came along; a model needs evaluation data, a dataset any."""
    kind = lab.subject.spec.model.kind
    if lab.subject.dataset("evaluation") is None and kind == "model":
        raise NotAvailable("the bundle has no evaluation data")
    bench = _Bench(lab)
    for role in ROLES:
        bench.validate(role)
    if not bench.told:
        raise NotAvailable("none of the data sets could be read")
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail="; ".join(bench.told),
        estimates=bench.estimates,
        observations=(*_from_intake(lab), *bench.observations),
        controls=tuple(bench.controls),
        limits=tuple(bench.limits),
        method=f"Great Expectations {bench.version} on one row of numbers for each item",
        facts=bench.facts,
        artifacts=(
            lab.keep(
                "expectations",
                title="Every expectation and its result",
                media_type="application/json",
                data=json.dumps(bench.results, sort_keys=True).encode(),
            ),
        ),
        cost=lab.cost,
    )


class _Bench:
    """Collects the facts about each set in turn."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.version = ""
        self.told: list[str] = []
        self.estimates: dict[str, Estimate] = {}
        self.observations: list[Observation] = []
        self.controls: list[Control] = []
        self.limits: list[str] = []
        self.facts: dict[str, str | int | float | bool | None] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.training: Array | None = None

    def validate(self, role: str) -> None:
        """Holds one set against its rules, if it came and can be read."""
        try:
            examples = self.lab.examples(role)
        except NotAvailable as missing:
            self.limits.append(f"{missing}; nothing was validated there")
            return
        if shape := self._misshapen(examples, role):
            self.observations.append(shape)
        table = profile(*examples, self.training if role == "evaluation" else None)
        rules = rules_for(self._demands(table))
        found = self._broken(table, rules, role)
        self.observations += found
        self._note(role, table, rules, found)
        if role == "training":
            self.training = fingerprints(examples.inputs)
        if role == "evaluation" or self.lab.subject.dataset("evaluation") is None:
            self.controls += self._run_controls(table, rules)

    def _note(
        self,
        role: str,
        table: Mapping[str, Array],
        rules: tuple[Rule, ...],
        found: list[Observation],
    ) -> None:
        rows = len(table["label"])
        self.facts[f"{role}_rows"] = rows
        self.told.append(f"{role}: {rows} rows, {len(found)} of {len(rules)} rules broken")
        self.estimates[f"{role}_duplicates"] = _share(table["copies"])
        if role == "evaluation" and self.training is not None:
            self.estimates["overlap"] = _share(table["shared"])

    def _broken(
        self, table: Mapping[str, Array], rules: tuple[Rule, ...], role: str
    ) -> list[Observation]:
        reply = self.lab.run(
            "detectors.data.expectations", table, suite=[rule.request() for rule in rules]
        )
        results = list(reply.values["results"])
        self.version = str(reply.values["version"])
        self.results[role] = [
            rule.request() | result for rule, result in zip(rules, results, strict=False)
        ]
        return list(broken_rules(rules, results, rows=len(table["label"]), location=role))

    def _demands(self, table: Mapping[str, Array]) -> Demands:
        model = self.lab.subject.spec.model
        return Demands(
            bounds=_bounds(model.input) if model.input else None,
            classes=model.output.classes
            if model.output and model.task == "classification"
            else None,
            rows=len(table["label"]),
            minimum_rows=self.lab.count("minimum_rows"),
            most_shared=self.lab.number("most_overlap"),
            columns=tuple(table),
        )

    def _misshapen(self, examples: Examples, role: str) -> Observation | None:
        expected = self.lab.subject.spec.model.input
        item = examples.inputs.shape[1:]
        if expected is None or item == expected.shape:
            return None
        return Observation(
            rule="data.shape",
            severity=Severity.HIGH,
            detail=f"items have shape {list(item)}, the model takes {list(expected.shape)}",
            location=role,
        )

    def _run_controls(
        self, table: Mapping[str, Array], rules: tuple[Rule, ...]
    ) -> tuple[Control, Control]:
        """Runs the same rules on a set with one spoilt row, and on one that keeps them all."""
        wanted = {rule.name for rule in rules} & set(PLANTED)
        spoilt = {seen.rule for seen in self._broken(_spoilt(table), rules, "planted control")}
        accused = self._broken(_faultless(table, rules), rules, "clean control")
        return (
            Control(
                name="one spoilt row",
                planted=True,
                found=wanted <= spoilt,
                detail=f"found {', '.join(sorted(wanted & spoilt)) or 'nothing'}",
            ),
            Control(
                name="a faultless set of about the same size",
                planted=False,
                found=any(seen.rule != "data.rows" for seen in accused),
                detail=", ".join(sorted(seen.rule for seen in accused)),
            ),
        )


def _bounds(spec: InputSpec) -> tuple[float, float]:
    """Returns the raw range; uint8 inputs without a stated range lie in 0..255, as targets do."""
    if spec.dtype == "uint8" and spec.range == (0.0, 1.0):
        return 0.0, 255.0
    return spec.range


def _spoilt(table: Mapping[str, Array]) -> dict[str, Array]:
    spoilt = {name: column.copy() for name, column in table.items()}
    spoilt["broken"][-1] = 1
    spoilt["highest"] = spoilt["highest"].astype(np.float64)
    spoilt["highest"][-1] = 1e30
    spoilt["label"][-1] = -1
    return spoilt


def _faultless(table: Mapping[str, Array], rules: tuple[Rule, ...]) -> dict[str, Array]:
    """Makes a table of the same size whose every value keeps every rule."""
    settings = {rule.name: rule.settings for rule in rules}
    low, high = (
        settings.get("data.range.lowest", {}).get(end, default)
        for end, default in (("min_value", 0.0), ("max_value", 1.0))
    )
    classes = int(settings.get("data.label_range", {}).get("max_value", 1)) + 1
    rows = max(len(table["label"]), classes)
    middle = (low + high) / 2
    made = {name: np.zeros(rows, dtype=np.int64) for name in ("broken", "copies", "contradicted")}
    made["shared"] = np.zeros(rows, dtype=np.int64)
    faultless: dict[str, Array] = dict(made)
    faultless["label"] = np.arange(rows, dtype=np.int64) % classes
    faultless["label_share"] = np.full(rows, 1 / classes)
    faultless["lowest"] = np.full(rows, (low + middle) / 2)
    faultless["highest"] = np.full(rows, (high + middle) / 2)
    faultless["spread"] = faultless["highest"] - faultless["lowest"]
    flat = [name for name in table if name not in faultless]
    return faultless | {name: np.linspace(low, high, rows) for name in flat}


def _share(marked: Array) -> Estimate:
    return Estimate.exact(float(np.mean(marked > 0)), n=len(marked))


def _from_intake(lab: Lab) -> tuple[Observation, ...]:
    """Returns what was already odd when the files were decoded."""
    return tuple(seen for seen in lab.subject.observations if seen.rule.startswith("data."))
