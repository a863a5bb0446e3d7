"""A table held against the profile of a trusted one: each defect breaks its own expectation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.checks.data.held import Held, held_table
from tasks.detectors.data.suites import allowed, expected_of
from tasks.domain.reference import ReferenceProfile
from tasks.intake import holding, table_batches
from tasks.intake.holding import hold_table, table_parts
from tasks.intake.known_tables import hold_controls
from tests.tasks.intake.tables import people, profile_of, written

FRESH = people(1500, seed=1, first_id=90_001)


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> ReferenceProfile:
    return profile_of(written(tmp_path_factory.mktemp("trusted"), people()))


def held(path: Path, trusted: ReferenceProfile) -> Held:
    parts = table_parts(path=str(path))[1]["parts"]
    replies = [
        hold_table(
            path=str(path), groups=[a, b], offset=offset, profile=trusted.model_dump(mode="json")
        )
        for a, b, offset in parts
    ]
    return held_table("training", replies, trusted)


def broken(table: Held) -> set[tuple[str, tuple[str, ...]]]:
    return {(one.expected.kind, one.expected.columns) for one in table.judged if one.broken}


def test_another_draw_of_the_same_source_breaks_nothing(
    tmp_path: Path, trusted: ReferenceProfile
) -> None:
    table = held(written(tmp_path, FRESH), trusted)
    assert (broken(table), table.others, table.rows) == (set(), (), 1500)


def _with(column: str, values: Any) -> Callable[[Any], Any]:
    def spoilt(table: Any) -> Any:
        made = table.copy()
        found = values(made) if callable(values) else values
        made[column] = np.where(np.arange(len(made)) % 10 == 3, found, made[column])
        return made

    return spoilt


DEFECTS: dict[tuple[str, tuple[str, ...]], Callable[[Any], Any]] = {
    ("column", ("age",)): lambda table: table.drop(columns="age"),
    ("type", ("age",)): _with("age", 30.5),
    ("missing", ("age",)): _with("age", np.nan),
    ("lowest", ("age",)): _with("age", -1),
    ("highest", ("age",)): _with("age", 130),
    ("far", ("income",)): lambda table: table.assign(
        income=np.where(np.arange(len(table)) == 5, 1e12, table["income"])
    ),
    ("names", ("city",)): _with("city", "Springfield"),
    ("unique", ("id",)): _with("id", 90_001),
    ("order", ("start", "end")): _with("end", lambda table: table["start"] - 1),
    ("dependency", ("city", "country")): _with(
        "country", lambda table: table["country"].map({"CH": "FR", "FR": "IT", "IT": "CH"})
    ),
}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect[0])
def test_each_defect_breaks_its_expectation(
    defect: tuple[str, tuple[str, ...]], tmp_path: Path, trusted: ReferenceProfile
) -> None:
    table = held(written(tmp_path, DEFECTS[defect](FRESH)), trusted)
    assert defect in broken(table)
    assert {columns for _, columns in broken(table)} <= {defect[1], ("start", "end"), ("end",)}
    [one] = [j for j in table.judged if (j.expected.kind, j.expected.columns) == defect]
    if defect[0] not in {"column", "far", "unique"}:
        assert (one.counted.broken, one.counted.rows[:3]) == (150, (3, 13, 23))
    assert one.counted.error == ""


def test_numbers_that_became_text_are_told(tmp_path: Path, trusted: ReferenceProfile) -> None:
    table = FRESH.assign(age=[str(age) if age != 40 else "forty" for age in FRESH["age"]])
    found = held(written(tmp_path, table), trusted)
    [kind] = [one for one in found.judged if one.expected.kind == "type" and one.broken]
    assert kind.expected.columns == ("age",)
    assert kind.counted.broken == int((FRESH["age"] == 40).sum())


def test_columns_that_nobody_knows_are_named(tmp_path: Path, trusted: ReferenceProfile) -> None:
    assert held(written(tmp_path, FRESH.assign(extra=1)), trusted).others == ("extra",)


@pytest.mark.parametrize("name", ["people.parquet", "people.csv"])
def test_parts_batches_and_formats_count_the_same(
    name: str, tmp_path: Path, trusted: ReferenceProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = DEFECTS["order", ("start", "end")](DEFECTS["unique", ("id",)](FRESH))
    whole = held(written(tmp_path, spoilt), trusted)
    monkeypatch.setattr(holding, "ROWS_A_PART", 800)
    monkeypatch.setattr(table_batches, "BATCH", 600)
    more = {"row_group_size": 500} if name.endswith("parquet") else {}
    path = written(tmp_path, spoilt, f"parts-{name}", **more)
    if more:
        assert len(table_parts(path=str(path))[1]["parts"]) == 2
    assert held(path, trusted) == whole


def test_files_that_cannot_be_read_say_why(tmp_path: Path, trusted: ReferenceProfile) -> None:
    (tmp_path / "odd.parquet").write_bytes(b"PAR1 and nothing more")
    assert held(tmp_path / "odd.parquet", trusted).problem


def test_every_control_gives_its_known_answer(trusted: ReferenceProfile) -> None:
    told = hold_controls(profile=trusted.model_dump(mode="json"))[1]
    suite = expected_of(trusted)
    may = {str(at): allowed(one, told["rows"], trusted, len(suite)) for at, one in enumerate(suite)}
    assert [at for at, count in told["clean"].items() if count > may[at]] == []
    assert [at for at, count in told["planted"].items() if count <= may[at]] == []
    planted = {suite[int(at)].kind for at in told["planted"]}
    assert planted == {one.kind for one in suite} - {"column"}
