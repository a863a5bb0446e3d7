"""A new version of a table against a trusted one, asked as the runner asks, in one part or many."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.catalog.reading import Catalog
from tasks.checks import lab as bench
from tasks.checks.data.expectations import measure, measure_part
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.checks.parts import keep_part
from tasks.domain.digest import Digest
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement, Observation
from tasks.domain.severity import Severity
from tasks.intake import holding
from tasks.judging.gates import judge
from tests.simulators.store import MemoryStore
from tests.tasks.checks.data.versions import versions
from tests.tasks.intake.tables import people, profile_of, written

CHECK = "data.expectations"
FRESH = people(1200, seed=1, first_id=90_001)


def measured(made: Lab) -> tuple[Measurement, Outcome]:
    with made:
        found = measure(made)
    return found, judge(Catalog().check(CHECK), found).outcome


def matters(seen: Observation) -> bool:
    return seen.severity.rank >= Severity.MEDIUM.rank


def test_the_next_version_passes_against_the_accepted_one(tmp_path: Path) -> None:
    found, outcome = measured(versions(CHECK, tmp_path, FRESH, accepted=people()))
    assert outcome is Outcome.PASS, found.detail
    assert [control.held for control in found.controls] == [True, True]
    assert "Acme/people@1, accepted before" in found.detail
    assert found.estimates["training_broken"].value == 0


def test_what_breaks_the_profile_is_named_with_rows_and_counts(tmp_path: Path) -> None:
    profile = profile_of(written(tmp_path, people()))
    spoilt = FRESH.assign(
        age=np.where(np.arange(1200) % 100 == 7, -1, FRESH["age"]),
        country=np.where(FRESH["city"] == "Lyon", "IT", FRESH["country"]),
    )
    found, outcome = measured(versions(CHECK, tmp_path, spoilt, profile=profile))
    assert outcome is Outcome.FAIL
    seen = {one.rule.rpartition(".")[2]: one for one in found.observations if matters(one)}
    assert set(seen) == {"lowest", "dependency"}
    assert seen["lowest"].location == "training: age"
    assert "in 12 of 1200 rows (in 0 of 2000 trusted ones" in seen["lowest"].detail
    assert "first rows 7, 107, 207, 307, 407; values -1" in seen["lowest"].detail
    assert seen["dependency"].location == "training: city and country"
    assert found.facts["profile"] == profile.digest
    assert {artifact.name for artifact in found.artifacts} == {"profile.json", "expectations.json"}


def test_a_column_that_is_gone_is_told_once(tmp_path: Path) -> None:
    found, _ = measured(versions(CHECK, tmp_path, FRESH.drop(columns="age"), accepted=people()))
    [gone] = [seen for seen in found.observations if seen.location == "training: age"]
    assert (gone.rule, gone.severity) == ("data.expectations.column", Severity.HIGH)


def test_a_rare_exception_is_noted_and_does_not_fail(tmp_path: Path) -> None:
    table = FRESH.copy()
    table.loc[5, "age"] = 90
    found, outcome = measured(versions(CHECK, tmp_path, table, accepted=people()))
    assert outcome is Outcome.PASS
    [noted] = [seen for seen in found.observations if seen.location == "training: age"]
    assert (noted.rule, noted.severity) == ("data.expectations.highest", Severity.LOW)


def test_without_anything_to_hold_it_against_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="no version of it was accepted before"):
        measure(versions(CHECK, tmp_path, FRESH))


def test_what_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    made = versions(CHECK, tmp_path, FRESH, accepted=people())
    broken = versions(CHECK, tmp_path / "b", FRESH, profile=profile_of(tmp_path / "people.parquet"))
    entry = broken.subject.files[0]
    digest = broken._store.put(b"PAR1 and no more").digest
    files = (entry.model_copy(update={"digest": digest}),)
    broken.subject = made.subject.model_copy(
        update={"files": files, "baseline": broken.subject.baseline}
    )
    with pytest.raises(NotAvailable, match="training"):
        measure(broken)


def test_one_worker_and_many_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "ROWS_A_PART", 600)
    monkeypatch.setattr(bench, "WORTH_A_CHILD", 0.0)
    spoilt = FRESH.assign(id=np.where(np.arange(1200) % 600 == 1, 90_002, FRESH["id"]))
    store, asked = MemoryStore(), []

    def spread(indices: range) -> Generator[Digest, None, None]:
        """Stands for other workers: each part in a lab of its own, out of order."""
        kept = {}
        for index in reversed(indices):
            with made(f"worker{index}") as lab:
                kept[index] = keep_part(measure_part(lab, index), store)
        for index in indices:
            asked.append(index)
            yield kept[index]

    def made(name: str, **more: Any) -> Lab:
        return versions(
            CHECK, tmp_path / name, spoilt, accepted=people(), store=store,
            row_group_size=600, **more,
        )  # fmt: skip

    alone, _ = measured(made("alone"))
    shared, outcome = measured(made("shared", spread=spread))
    assert asked == [1]
    assert shared.canonical() == alone.canonical()
    assert (outcome, shared.facts["parts"]) == (Outcome.FAIL, 2)
    [artifact] = [one for one in shared.artifacts if one.name == "expectations.json"]
    [table] = json.loads(store.get(artifact.digest))
    [unique] = [one for one in table["expectations"] if one["kind"] == "unique"]
    # One in each part: neither sees a repetition by itself.
    assert (unique["broken"], unique["first_rows"]) == (2, [1, 601])
