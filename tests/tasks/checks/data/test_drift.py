"""A new version of a table against the one that was accepted last."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.data.drift import measure
from tasks.checks.lab import NotApplicable, NotAvailable
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.tasks.checks.data.versions import versions
from tests.tasks.intake.tables import people, profile_of

CHECK = "data.drift"
ROWS = 12_000


def table(seed: int) -> Any:
    return people(ROWS, seed=seed).drop(columns="id")


def measured(folder: Path, now: Any, before: Any) -> tuple[Measurement, Outcome]:
    with versions(CHECK, folder, now, accepted=before) as made:
        found = measure(made)
    return found, judge(Catalog().check(CHECK), found).outcome


def test_another_draw_of_the_same_source_passes(tmp_path: Path) -> None:
    found, outcome = measured(tmp_path, table(1), table(0))
    assert outcome is Outcome.PASS, found.detail
    assert [control.held for control in found.controls] == [True, True]
    assert found.facts["accepted_run"] == "run-1"


def test_what_moved_is_ranked_first(tmp_path: Path) -> None:
    now = table(1)
    now["age"] += 12
    found, outcome = measured(tmp_path, now, table(0))
    assert outcome is Outcome.FAIL
    [first, *_] = found.observations
    assert (first.rule, first.location) == ("drift.shifted", "age")
    assert "training data against Acme/people@1 (run-1)" in found.detail
    assert {artifact.name for artifact in found.artifacts} == {"shifts.json", "distributions.json"}


def test_a_label_that_became_rarer_is_told_too(tmp_path: Path) -> None:
    now = table(1)
    now["label"] = now["label"].where(now["age"] > 40, 0)
    found, outcome = measured(tmp_path, now, table(0))
    assert outcome is Outcome.FAIL
    assert found.observations[0].location == "label"


def test_the_first_version_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    made = versions(CHECK, tmp_path, table(1))
    with pytest.raises(NotApplicable, match="no other version of it was accepted"):
        measure(made)
    # A profile is no version: what it allows is asked elsewhere.
    made = versions(CHECK, tmp_path, table(1), profile=profile_of(tmp_path / "people.parquet"))
    with pytest.raises(NotApplicable, match="no other version"):
        measure(made)


def test_too_few_rows_are_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="40 rows; 100 are needed"):
        measured(tmp_path, table(1).head(40), table(0))


def test_equal_specs_give_equal_bytes(tmp_path: Path) -> None:
    first, again = (measured(tmp_path / name, table(1), table(0))[0] for name in "ab")
    assert first.canonical() == again.canonical()
    assert json.loads(first.canonical())["status"] == "measured"
