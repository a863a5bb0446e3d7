"""Pictures of drift are drawn from stored artifacts, names of columns included."""

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.domain.digest import digest_of
from tasks.domain.finding import Finding, Outcome
from tasks.domain.measurement import Artifact
from tasks.domain.severity import Severity
from tasks.reports.pictures import pictures
from tests.tasks.checks.drift.comparisons import asked
from tests.tasks.detectors.drift.tables import people

FINDING = Finding(
    check="drift.watch",
    outcome=Outcome.FAIL,
    severity=Severity.HIGH,
    question="Has anything changed?",
    threshold=0.1,
    detail="yes",
)


def artifact(name: str, data: bytes) -> Artifact:
    return Artifact(
        name=name, title=name, media_type="application/json", digest=digest_of(data),
        size_bytes=len(data),
    )  # fmt: skip


def test_evidence_of_nights_is_drawn() -> None:
    told = [
        {"gate": "$age", "log10": [0.0, 1.0, 4.0], "limit_log10": 3.0, "alarm": 3},
        {"gate": "b" * 60, "log10": [0.0, 0.0, 0.0], "limit_log10": 3.0, "alarm": None},
    ]
    data = json.dumps(told).encode()
    [picture] = pictures(FINDING, artifact("evidence.json", data), data)
    assert picture.source.startswith("data:image/png;base64,")


@pytest.mark.parametrize("name", ["$", "a$b$c", r"\frac{", "{}", "x" * 300])
def test_a_column_may_have_any_name(name: str, tmp_path: Path) -> None:
    before = {name: np.arange(500.0), **people(1, 500)}
    measured, finding = asked("drift.features", tmp_path, before, before)
    assert {one.name for one in measured.artifacts} == {"shifts.json", "distributions.json"}
    rows = [{"column": name, "low": 0.0, "high": 0.2, "distance": 0.1, "different": True}]
    data = json.dumps(rows).encode()
    assert len(pictures(finding, artifact("shifts.json", data), data)) == 1
    drawn = [{"column": name, "cells": ["a", "b"], "reference": [0.5, 0.5], "current": [0.4, 0.6],
              "beyond": False}]  # fmt: skip
    data = json.dumps(drawn).encode()
    assert len(pictures(finding, artifact("distributions.json", data), data)) == 1
