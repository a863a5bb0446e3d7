"""Tables as people keep them: texts, dates and gaps as numbers, alike in every file of a bundle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.intake.bare_data import Named, wrap
from tasks.intake.decoding import decode_examples
from tasks.intake.encoding import MOST_TEXTS, Key, UnlikeError, encoded, notes_of
from tasks.intake.quarantine import QUOTAS
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import rules, take_in

PEOPLE = pd.DataFrame(
    {
        "age": [39.0, np.nan, 50.0, 28.0],
        "work": ["State", None, "Private", "Private"],
        "since": pd.to_datetime(["1970-01-01", "1970-01-03", "NaT", "1970-01-02"]),
        "member": [True, False, True, True],
    }
)


def numbers(table: pd.DataFrame, key: Key | None = None) -> dict[str, list[float]]:
    made = encoded(table, list(table.columns), key or {})
    return {name: column.tolist() for name, column in zip(made.names, made.columns, strict=True)}


def test_texts_dates_and_gaps_become_numbers() -> None:
    assert numbers(PEOPLE) == {
        "age": [39, 39, 50, 28],  # the median stands for the gap
        "work": [2, 0, 1, 1],  # "", Private, State
        "since": [0, 2, 1, 1],  # days; the median stands for the gap
        "member": [1, 0, 1, 1],
    }


def test_moments_with_a_zone_are_days_of_the_world() -> None:
    zoned = pd.DataFrame(
        {"at": pd.to_datetime(["1970-01-01T20:00-04:00"]).tz_convert("US/Eastern")}
    )
    assert numbers(zoned) == {"at": [1.0]}


def test_the_next_file_is_read_by_the_key_of_the_first_and_new_texts_come_after() -> None:
    first = encoded(PEOPLE, ["work", "age"], {})
    later = pd.DataFrame({"work": ["Private", "Army", None], "age": [1.0, np.nan, 2.0]})
    assert numbers(later[["work", "age"]], first.key) == {"work": [1, 3, 0], "age": [1, 39, 2]}
    assert numbers(PEOPLE[["work"]], encoded(later, ["work"], first.key).key)["work"] == [
        2,
        0,
        1,
        1,
    ]


def test_a_key_is_plain_json() -> None:
    key = encoded(PEOPLE, list(PEOPLE.columns), {}).key
    assert json.loads(json.dumps(key)) == key


def test_free_text_is_left_out_in_every_file() -> None:
    letters = pd.DataFrame({"note": [f"note {n}" for n in range(60)], "age": range(60)})
    made = encoded(letters, ["note", "age"], {})
    assert made.names == ["age"]
    few = pd.DataFrame({"note": ["same"] * 60, "age": range(60)})
    assert encoded(few, ["note", "age"], made.key).names == ["age"]


def test_texts_beyond_all_room_share_one_number() -> None:
    known = {"code": {"kind": "text", "texts": [f"{n:04}" for n in range(MOST_TEXTS)]}}
    table = pd.DataFrame({"code": ["0000", "x", "y"]})
    assert numbers(table, known) == {"code": [0, MOST_TEXTS, MOST_TEXTS]}


def test_a_column_that_changes_its_kind_is_refused() -> None:
    key = encoded(PEOPLE, ["age"], {}).key
    with pytest.raises(UnlikeError, match="age holds a text here and a number in another file"):
        encoded(pd.DataFrame({"age": ["old"]}), ["age"], key)


def test_what_was_done_is_told() -> None:
    table = pd.concat([PEOPLE] * 10).assign(note=[f"note {n}" for n in range(40)])
    names = list(table.columns)
    notes = {
        note["rule"]: note["detail"] for note in notes_of(table, encoded(table, names, {}), names)
    }
    assert notes["data.encoded"].endswith(
        "numbered 0 age (number), 1 work (text), 2 since (date), 3 member (number)"
    )
    assert notes["data.left_out"].endswith("note")
    assert notes["data.filled"].endswith("10 of age, 10 of since")


@pytest.mark.parametrize(("gaps", "severity"), [(2, "low"), (3, "medium")])
def test_a_column_that_is_mostly_missing_is_worse(gaps: int, severity: str) -> None:
    table = pd.DataFrame({"age": [np.nan] * gaps + [1.0] * (4 - gaps)})
    [note] = notes_of(table, encoded(table, ["age"], {}), ["age"])
    assert (note["rule"], note["severity"]) == ("data.filled", severity)


anything = st.one_of(
    st.none(), st.text(max_size=8), st.integers(-5, 5), st.floats(), st.booleans(), st.dates()
)


@settings(max_examples=60)
@given(st.lists(anything, min_size=1, max_size=30))
def test_whatever_a_column_holds_becomes_finite_numbers_or_is_left_out(values: list[Any]) -> None:
    table = pd.DataFrame({"x": pd.Series(values, dtype=object).infer_objects()})
    made = encoded(table, ["x"], {})
    for column in made.columns:
        assert column.shape == (len(values),)
        assert not np.isnan(column).any()
    again = encoded(table, ["x"], json.loads(json.dumps(made.key)))
    assert [column.tolist() for column in again.columns] == [
        column.tolist() for column in made.columns
    ]


def by_rule(notes: list[dict[str, str]]) -> dict[str, str]:
    return {note["rule"]: note["detail"] for note in notes}


def read(path: Path, key: Key | None) -> tuple[dict[str, Any], dict[str, Any]]:
    return decode_examples(
        path=str(path), inputs="every other column", labels="income", most_bytes=1 << 20, key=key
    )


def test_text_labels_are_class_numbers_where_no_model_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    PEOPLE.assign(income=["<=50K", ">50K", "<=50K", "<=50K"]).to_csv(path, index=False)
    arrays, told = read(path, {})
    assert arrays["labels"].tolist() == [0, 1, 0, 0]
    assert told["problem"] == ""
    noted = by_rule(told["notes"])
    assert noted["data.labels_encoded"] == "labels stand as 0 <=50K, 1 >50K"
    _, told = read(path, None)
    assert "not numeric" in told["problem"]


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["a", None, "b", "b"], "1 labels are missing"),
        ([0.5, 1, 1, 0], "fractions"),
    ],
)
def test_labels_that_say_nothing_are_refused(
    tmp_path: Path, labels: list[Any], problem: str
) -> None:
    path = tmp_path / "people.parquet"
    PEOPLE.assign(income=labels).to_parquet(path)
    arrays, told = read(path, {})
    assert arrays == {}
    assert problem in told["problem"]


def test_bare_tables_of_people_are_taken_in_by_one_key(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    folder.mkdir()
    many = pd.concat([PEOPLE] * 10, ignore_index=True)
    income = ["<=50K", ">50K", "<=50K", "<=50K"] * 10
    many.assign(income=income).to_csv(folder / "test.csv", index=False)
    other = many.assign(income=income, work=["Army", "Private"] * 20)
    other.to_csv(folder / "train.csv", index=False)
    named = Named(labels="income")
    wrapped = wrap(folder, tmp_path / "into", named=named, sandbox=DirectSandbox(), quotas=QUOTAS)
    store = MemoryStore()
    subject = take_in(wrapped, tmp_path / "w", store=store)
    assert "data.undecodable" not in rules(subject)
    assert {"data.encoded", "data.labels_encoded", "data.filled"} <= set(rules(subject))
    work = {
        data.role: safetensors.numpy.load(store.get(data.digest))["inputs"][:4, 1].tolist()
        for data in subject.datasets
        if data.digest
    }
    assert work == {"evaluation": [2, 0, 1, 1], "training": [3, 1, 3, 1]}
