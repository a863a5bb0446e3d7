from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotAvailable
from tasks.checks.privacy.identifiers import measure
from tasks.domain.bundle import DataSpec, DataSpecs
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.tasks.checks.benches import lab

CHECK = "privacy.identifiers"
PLAIN = "age,income,y\n" + "".join(f"{20 + row},{row * 100},{row % 2}\n" for row in range(50))
NAMED = "surname,age,y\n" + "".join(f"Person{row},{row},0\n" for row in range(50))
MAILS = "note,y\n" + "".join(f"mail user{row}@clinic.example,0\n" for row in range(50))
ONE_MAIL = "note,y\nmail user@clinic.example,0\n" + "nothing,1\n" * 99
LETTERS = "note,y\n" + "".join(f"signed by Dr. Smith{row % 7 * 'e'} today,0\n" for row in range(50))
CASES: list[tuple[str, str, set[str], Outcome]] = [
    ("numbers", PLAIN, set(), Outcome.PASS),
    ("names", NAMED, {"privacy.identifiers.name_column"}, Outcome.FAIL),
    ("mails", MAILS, {"privacy.identifiers.email"}, Outcome.FAIL),
    ("one mail", ONE_MAIL, {"privacy.identifiers.email"}, Outcome.PASS),
    ("letters", LETTERS, {"privacy.identifiers.person"}, Outcome.PASS),
    ("old", PLAIN.replace("age,", "day,").replace("20,0,", "1990-01-01,0,").replace(
        "21,100,", "2024-01-01,100,"), {"privacy.retention"}, Outcome.PASS),
    ("keys", "user_id,y\n" + "".join(f"{row * 7},0\n" for row in range(50)),
     {"privacy.identifiers.record_id_column"}, Outcome.PASS),
]  # fmt: skip


def measured(tmp_path: Path, files: dict[str, bytes], data: DataSpecs | None = None) -> Measurement:
    bench = lab(CHECK, tmp_path, files=files)
    if data is not None:
        spec = bench.subject.spec.model_copy(update={"data": data})
        bench.subject = bench.subject.model_copy(update={"spec": spec})
    with bench:
        return measure(bench)


@pytest.mark.parametrize(
    ("text", "rules", "outcome"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_tables_are_judged_by_what_they_hold(
    tmp_path: Path, text: str, rules: set[str], outcome: Outcome
) -> None:
    found = measured(tmp_path, {"data/train.csv": text.encode()})
    assert {seen.rule for seen in found.observations} == rules
    assert judge(Catalog().check(CHECK), found).outcome is outcome
    assert all(control.held for control in found.controls)


def test_columns_that_nothing_uses_are_told(tmp_path: Path) -> None:
    data = DataSpecs(training=DataSpec(path="data/train.csv", inputs="income", labels="y"))
    found = measured(tmp_path, {"data/train.csv": PLAIN.encode()}, data)
    assert [seen.rule for seen in found.observations] == ["privacy.minimisation"]
    assert "age" in found.observations[0].detail


def test_no_value_gets_into_the_evidence(tmp_path: Path) -> None:
    found = measured(tmp_path, {"data/train.csv": MAILS.encode()})
    assert b"clinic.example" not in found.canonical()


def test_a_file_that_cannot_be_read_is_never_a_pass(tmp_path: Path) -> None:
    files = {"data/a.csv": PLAIN.encode(), "data/b.parquet": b"PAR1broken"}
    found = measured(tmp_path, files)
    assert judge(Catalog().check(CHECK), found).outcome is Outcome.UNDECIDED


@pytest.mark.parametrize("files", [{}, {"a.csv": b""}, {"a.parquet": b"PAR1"}], ids=str)
def test_without_rows_there_is_no_answer(tmp_path: Path, files: dict[str, Any]) -> None:
    with pytest.raises(NotAvailable):
        measured(tmp_path, files)


def test_rows_that_name_somebody_are_counted_apart(tmp_path: Path) -> None:
    found = measured(tmp_path, {"data/train.csv": (LETTERS + MAILS.split("\n", 1)[1]).encode()})
    assert found.estimates["rows_with_name"].value == 0.5
    assert found.estimates["rows_with_identifier"].value == 0.5


@pytest.mark.parametrize(("years", "seen"), [(10, True), (40, False)])
def test_retention_is_the_operators_to_say(tmp_path: Path, years: int, seen: bool) -> None:
    rows = "day,y\n" + "".join(f"{1990 + row % 30}-01-01,0\n" for row in range(60))
    bench = lab(
        CHECK,
        tmp_path,
        files={"data/train.csv": rows.encode()},
        parameters={"retention_years": years},
    )
    with bench:
        rules = {one.rule for one in measure(bench).observations}
    assert ("privacy.retention" in rules) is seen
