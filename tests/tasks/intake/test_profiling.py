"""What a profile learns of a trusted table, and what it must not make up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.domain.errors import InvalidInputError
from tasks.domain.reference import ReferenceProfile, Tolerances
from tasks.intake import table_batches
from tasks.intake.profiles import profile_of as profiled
from tasks.intake.profiles import read_profile
from tasks.intake.profiles import written as as_yaml
from tasks.intake.profiling import profile_table
from tests.simulators.sandbox import DirectSandbox
from tests.tasks.intake.tables import people, profile_of, written

TURNED = """schema: proofhouse.profile/1
name: people
version: '1'
rows: 200
columns:
- {name: age, kind: whole, low: 3, high: 1}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, people())


def test_columns_are_described_as_they_are(path: Path) -> None:
    profile = profile_of(path)
    found = {column.name: column for column in profile.columns}
    assert {name: column.kind for name, column in found.items()} == {
        "id": "whole", "age": "whole", "start": "whole", "end": "whole", "income": "number",
        "city": "text", "country": "text", "label": "whole",
    }  # fmt: skip
    assert (found["age"].low, found["age"].high) == (18, 89)
    assert found["city"].names == ("Basel", "Bern", "Lyon", "Paris", "Turin")
    assert found["label"].names == ("0", "1")
    assert found["age"].names is None
    assert [name for name, column in found.items() if column.unique] == ["id"]
    assert found["id"].low is None
    assert found["income"].missing == int(people()["income"].isna().sum())


def test_relations_that_always_hold_and_could_have_failed_are_kept(path: Path) -> None:
    profile = profile_of(path)
    assert [(one.lower, one.upper) for one in profile.orders] == [("start", "end")]
    assert [(one.column, one.determines) for one in profile.dependencies] == [("city", "country")]
    assert profile.dependencies[0].fixes["Lyon"] == "FR"


def test_one_exception_is_enough_to_keep_no_relation(tmp_path: Path) -> None:
    table = people()
    table.loc[7, "end"] = table.loc[7, "start"] - 1
    table.loc[8, "country"] = "IT" if table.loc[8, "country"] != "IT" else "FR"
    profile = profile_of(written(tmp_path, table))
    assert (profile.orders, profile.dependencies) == ((), ())


def test_unrelated_columns_have_no_relations(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    # Far apart: one is below the other whatever one pairs, so nothing is learnt.
    table = pd.DataFrame(
        {"small": rng.random(500), "large": rng.random(500) + 5, "a": rng.choice(["x", "y"], 500)}
    )
    table["b"] = rng.choice(["p", "q"], 500)
    profile = profile_of(written(tmp_path, table))
    assert (profile.orders, profile.dependencies) == ((), ())


def test_batches_files_and_formats_tell_the_same(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = profile_of(path)
    monkeypatch.setattr(table_batches, "BATCH", 333)
    assert profile_of(path).columns == whole.columns
    csv = profile_of(written(tmp_path, people(), "people.csv"))
    assert csv.columns == whole.columns
    halves = [
        written(tmp_path, people().iloc[first : first + 1000], f"part{first}.parquet")
        for first in (0, 1000)
    ]
    told = profile_table(paths=[str(half) for half in halves])[1]
    told.pop("problem")
    parts = ReferenceProfile(name="people", version="1", **told)
    assert parts.columns == whole.columns
    assert parts.dependencies == whole.dependencies


def test_people_can_edit_a_profile_and_its_digest_follows(path: Path, tmp_path: Path) -> None:
    made = profiled(path, DirectSandbox(), tolerances=Tolerances(missing=0.05))
    place = tmp_path / "profile.yaml"
    place.write_text(as_yaml(made))
    assert read_profile(place) == made
    place.write_text(as_yaml(made).replace("high: 89.0", "high: 120.0"))
    assert read_profile(place).digest != made.digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("schema: proofhouse.profile/1\nrows: 3\n", "no profile"),
        ("[1, 2]", "no profile"),
        ("a: *b", "people.yaml"),
        (TURNED, "no range"),
    ],
)
def test_what_is_no_profile_is_explained(text: str, says: str, tmp_path: Path) -> None:
    place = tmp_path / "people.yaml"
    place.write_text(text)
    with pytest.raises(InvalidInputError, match=says):
        read_profile(place)


def test_too_few_rows_and_no_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="50 rows; 100 are needed"):
        profiled(written(tmp_path, people(50)), DirectSandbox())
    (tmp_path / "odd.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        profiled(tmp_path / "odd.parquet", DirectSandbox())
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_profile(tmp_path / "none.yaml")
