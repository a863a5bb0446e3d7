import json
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.governance.questionnaire import measure
from tasks.checks.lab import NotAvailable
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab

GOOD: dict[str, Any] = {
    "bool": True, "number": 1, "text": "written down and kept", "date": "2026-01-31",
}  # fmt: skip
TRUE = {"privacy.dp_training": False, "origin.training_data_included": False}
UNSHOWN = {
    "supply.signed", "supply.bom", "supply.safe_format", "origin.licence_stated",
    "quality.accuracy_stated", "quality.evaluation_data", "papers.model_card", "papers.datasheet",
}  # fmt: skip


def answers(*, honest: bool) -> dict[str, Any]:
    given = {
        one.id: one.choices[0] if one.choices else GOOD[one.kind]
        for one in Catalog().questionnaire("vendor.standard").questions
        if one.id not in {"data.rows", "training.parameters"}
    } | TRUE
    return given | dict.fromkeys(UNSHOWN, False) if honest else given


def measured(tmp_path: Path, given: dict[str, Any]) -> tuple[Measurement, MemoryStore]:
    store = MemoryStore()
    with lab("governance.questionnaire", tmp_path, store=store) as bench:
        bench.subject = bench.subject.model_copy(update={"answers": given})
        return measure(bench), store


def test_lies_earn_nothing_and_are_named(tmp_path: Path) -> None:
    honest, _ = measured(tmp_path, answers(honest=True))
    lying, _ = measured(tmp_path, answers(honest=False))
    assert honest.facts["contradicted"] == 0
    # No artifact was decoded, so its format is unknown and that answer is only unsupported.
    assert lying.facts["contradicted"] == len(UNSHOWN) - 1
    assert {one.rule for one in lying.observations} >= {"provenance.questionnaire.contradiction"}
    told = [one.detail for one in lying.observations if one.rule.endswith(".contradiction")]
    assert "supply.bom is answered yes, but the bundle shows no bill of materials" in told
    assert lying.estimates["score"].value < 1


def test_the_threshold_of_the_tier_decides(tmp_path: Path) -> None:
    measurement, _ = measured(tmp_path, answers(honest=True))
    score = measurement.estimates["score"].value
    entry = Catalog().check("governance.questionnaire")
    assert judge(entry, measurement, threshold=score).outcome is Outcome.PASS
    assert judge(entry, measurement, threshold=score + 0.01).outcome is Outcome.FAIL


def test_every_question_is_kept_with_both_values(tmp_path: Path) -> None:
    measurement, store = measured(tmp_path, answers(honest=False))
    [artifact] = measurement.artifacts
    rows = {row["question"]: row for row in json.loads(store.get(artifact.digest))}
    assert (rows["supply.bom"]["answer"], rows["supply.bom"]["shows"]) == (True, False)
    assert len(rows) == len(Catalog().questionnaire("vendor.standard").questions)


def test_no_answers_are_no_score(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no questionnaire"):
        measured(tmp_path, {})
