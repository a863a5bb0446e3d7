"""From files of any kind to sketches: every format says the same, bad ones are explained."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.detectors.drift.features import compare
from tasks.detectors.drift.sketch import Sketch, merged
from tasks.domain.errors import InvalidInputError
from tasks.intake.comparison import Roles, count, partitions, plan, survey
from tests.simulators.sandbox import DirectSandbox
from tests.tasks.detectors.drift.tables import people

BOX = DirectSandbox()
NO_ROLES = Roles()


def written(folder: Path, name: str, rows: int = 3000, seed: int = 1, **moved: float) -> Path:
    table = pd.DataFrame(people(seed, rows, **moved))
    table.loc[::50, "age"] = np.nan
    place = folder / name
    table.to_parquet(place) if place.suffix == ".parquet" else table.to_csv(place, index=False)
    return place


def sketched(reference: Path, file: Path, roles: Roles = NO_ROLES) -> Sketch:
    layout = plan([survey(reference, BOX)[0]], roles)
    return count(file, layout, BOX, seed=1)


def test_parquet_and_csv_give_the_same_counts(tmp_path: Path) -> None:
    parquet, csv = written(tmp_path, "t.parquet"), written(tmp_path, "t.csv")
    one, two = sketched(parquet, parquet), sketched(parquet, csv)
    assert one.rows == two.rows == 3000
    assert all((a == b).all() for a, b in zip(one.counts, two.counts, strict=True))
    assert [column.kind for column in one.layout.columns] == ["number", "number", "category"]
    assert int(one.counts[0][-1]) == 60  # missing ages


def test_partitions_are_counted_apart_and_added_up(tmp_path: Path) -> None:
    whole = written(tmp_path, "whole.parquet")
    folder = tmp_path / "parts"
    folder.mkdir()
    table = pd.read_parquet(whole)
    for at in range(3):
        table[at * 1000 : (at + 1) * 1000].to_parquet(folder / f"{at}.parquet")
    parts = [sketched(whole, file) for file in partitions(folder)]
    added = merged(merged(parts[0], parts[1]), parts[2])
    one = sketched(whole, whole)
    assert all((a == b).all() for a, b in zip(added.counts, one.counts, strict=True))
    assert len(added.sources) == 3


def test_kinds_of_columns_are_read_for_what_they_are(tmp_path: Path) -> None:
    rows = 400
    table = pd.DataFrame(
        {
            "when": pd.date_range("2026-01-01", periods=rows, freq="h"),
            "yes": np.arange(rows) % 2 == 0,
            "code": np.arange(rows) % 3,
            "named": pd.Categorical(["low", "high"] * (rows // 2)),
            "nested": [[1, 2]] * rows,
        }
    )
    place = tmp_path / "kinds.parquet"
    table.to_parquet(place)
    made = sketched(place, place)
    kinds = {column.name: column.kind for column in made.layout.columns}
    assert kinds == {"when": "number", "yes": "category", "code": "category", "named": "category"}
    assert any("nested" in note for note in made.notes)
    later = table.assign(when=table["when"] + pd.Timedelta(days=100), code=0.0)
    later.to_parquet(tmp_path / "later.parquet")
    shifts = compare(made, sketched(place, tmp_path / "later.parquet"))
    moved = {shift.name: round(shift.distance.value, 2) for shift in shifts}
    assert moved == {"when": 1.0, "code": 0.67, "yes": 0.0, "named": 0.0}


def test_pictures_are_looked_at_through_projections(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name, lift in (("a", 0.0), ("b", 0.0), ("c", 0.2)):
        np.savez(
            tmp_path / f"{name}.npz", x=rng.random((600, 1, 20, 20)) + lift, y=np.arange(600) % 3
        )
    reference = tmp_path / "a.npz"
    before = sketched(reference, reference, Roles(labels="y"))
    assert len(before.layout.columns) == 32 + 2 + 1
    same, lifted = (
        compare(before, sketched(reference, tmp_path / f"{name}.npz", Roles(labels="y")))
        for name in ("b", "c")
    )
    assert not any(shift.significant for shift in same)
    assert lifted[0].name == "x mean"
    assert lifted[0].distance.low > 0.5


def test_outputs_become_columns_and_right_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    sure = rng.random(2000)
    truth = (rng.random(2000) < sure).astype(int)
    place = tmp_path / "scored.parquet"
    pd.DataFrame({"x": rng.normal(size=2000), "p": sure, "y": truth}).to_parquet(place)
    made = sketched(place, place, Roles(labels="y", predictions=("p",)))
    names = [column.name for column in made.layout.columns]
    assert names == ["x", "p", "y", "model: class", "model: confidence"]
    assert int(made.answered.sum()) == 2000
    assert int(made.right.sum()) == int(((sure >= 0.5) == truth).sum())


def test_scores_name_their_classes_by_the_labels(tmp_path: Path) -> None:
    place = tmp_path / "scored.parquet"
    rng = np.random.default_rng(3)
    truth = rng.choice(["cat", "dog"], 500)
    dog = np.where(truth == "dog", 0.8, 0.1)
    pd.DataFrame({"a": 1 - dog, "b": dog, "y": truth}).to_parquet(place)
    made = sketched(place, place, Roles(labels="y", predictions=("a", "b")))
    assert made.layout.reading.classes == ("cat", "dog")
    assert int(made.right.sum()) == 500


def test_values_are_right_within_what_the_reference_missed_by(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(size=2000)
    for name, spread in (("before", 0.1), ("now", 0.3)):
        table = pd.DataFrame({"y": truth, "guess": truth + rng.normal(0, spread, 2000)})
        table.to_parquet(tmp_path / f"{name}.parquet")
    reference = tmp_path / "before.parquet"
    roles = Roles(labels="y", predictions=("guess",))
    before, now = (
        sketched(reference, tmp_path / f"{one}.parquet", roles) for one in ("before", "now")
    )
    assert int(before.right.sum()) / 2000 == pytest.approx(0.9, abs=0.01)
    assert int(now.right.sum()) / 2000 < 0.5


def test_a_reference_without_a_named_column_is_explained(tmp_path: Path) -> None:
    place = written(tmp_path, "t.parquet")
    with pytest.raises(InvalidInputError, match="no column 'height'; it has age, income, job"):
        sketched(place, place, Roles(labels="height"))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.parquet", b"PAR1 and then nothing", "cannot be read"),
        ("t.csv", b"a,a\n1,2\n", "two columns are called a"),
        ("t.csv", b"", "the file is empty"),
        ("t.npz", b"PK\x03\x04 broken", "cannot be read"),
        ("t.bin", b"\x80\x04K\x01.", "convert it to one"),
    ],
)
def test_what_is_no_table_is_said_with_its_name(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    place = tmp_path / name
    place.write_bytes(data)
    with pytest.raises(InvalidInputError, match=words) as caught:
        survey(place, BOX)
    assert name in caught.value.message


def test_a_reader_that_lies_about_its_counts_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = written(tmp_path, "t.parquet")
    honest = sketched(place, place)
    monkeypatch.setattr(
        "tasks.intake.sketching.sketch_of", lambda *_, **__: honest._replace(rows=5)
    )
    with pytest.raises(InvalidInputError, match=r"another file|every row once"):
        sketched(place, place)


def test_a_link_is_no_partition(tmp_path: Path) -> None:
    place = written(tmp_path, "t.parquet")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.parquet").symlink_to(place)
    with pytest.raises(InvalidInputError, match="no plain file"):
        partitions(folder)
