import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.detectors.data.identifier_scan import identifier_scan, named_kind
from tasks.detectors.data.identifiers import identifiers_in, is_iban, is_luhn

DIRECT = [
    ("email", "jane.doe+work@mail.example.co.uk"),
    ("email", "Kontakt: <max@müller-gmbh.de> max@firma.de."),
    ("phone", "+1 (415) 555-2671"),
    ("phone", "+442071838750"),
    ("phone", "(415) 555-2671"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "FR1420041010050500013M02606 thank you"),
    ("card", "5500 0000 0000 0004"),
    ("card", "378282246310005"),
    ("ssn", "123-45-6789"),
    ("ip", "2001:4860:4860::8888"),
    ("ip", "1.1.1.1"),
]
INNOCENT = [
    "", "@", "a@b", "5500 0000 0000 0005", "DE89 3704 0044 0532 0130 01", "666-45-6789",
    "000-12-3456", "10.0.0.1", "999.1.1.1", "2024-05-17 12:30:00", "0.123456789012345",
    "1234-5678", "twitter @handle", "C:\\Users\\x", "3.14.159.26 beta", "::1", "12:30:45",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), DIRECT)
def test_identifiers_are_found_in_any_text(kind: str, text: str) -> None:
    assert kind in identifiers_in(text)


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_looks_alike_is_not(text: str) -> None:
    assert identifiers_in(text) <= ({"ip"} if text.startswith("3.14") else set())


@given(st.text(max_size=300))
def test_no_text_breaks_the_patterns(text: str) -> None:
    identifiers_in(text)


@given(st.integers(10**11, 10**18))
def test_one_check_digit_in_ten_is_right(number: int) -> None:
    assert sum(is_luhn(f"{number}{digit}") for digit in range(10)) == 1


@given(st.text("0123456789", min_size=18, max_size=18))
def test_one_account_checksum_in_97_is_right(account: str) -> None:
    assert sum(is_iban(f"DE{check:02}{account}") for check in range(2, 99)) == 1


@pytest.mark.timeout(20)
def test_no_text_makes_a_pattern_run_for_long() -> None:
    for sign in ("a@", "1 ", "+1 ", "A1 ", "::", "1.", "a.", "(1"):
        identifiers_in(sign * 200_000)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("firstName", "name"), ("Patient Name", "name"), ("E-Mail", "email"),
        ("phone_number", "phone"), ("home_address", "address"), ("SSN", "national id"),
        ("IBAN", "account"), ("DOB", "birth date"), ("customer_id", "record id"),
        ("filename", ""), ("species_name_length", ""), ("income", ""),
        ("native_country", ""), ("x12", ""), ("", ""),
    ],
)  # fmt: skip
def test_columns_are_known_by_their_names(name: str, kind: str) -> None:
    assert named_kind(name) == kind


def scanned(place: str, most_rows: int = 100) -> dict[str, Any]:
    return identifier_scan(path=place, most_rows=most_rows)[1]


def people() -> "pd.DataFrame":
    return pd.DataFrame(
        {
            "surname": [f"Person{row}" for row in range(30)],
            "note": ["write to a@b.example"] * 4 + ["nothing"] * 26,
            "card": [4111111111111111] * 30,
            "serial": [1000000000000000 + 7919 * row for row in range(30)],
            "day": ["2003-02-01"] + ["2024-05-17"] * 29,
        }
    )


def written(folder: Path, kind: str) -> str:
    place = folder / f"people.{kind}"
    table = people()
    if kind == "csv":
        table.to_csv(place, index=False)
    elif kind == "parquet":
        table.to_parquet(place)
    elif kind == "jsonl":
        place.write_text("\n".join(json.dumps(row) for row in table.to_dict("records")))
    else:
        arrays: dict[str, Any] = {name: table[name].to_numpy() for name in ("card", "serial")}
        arrays["note"] = table["note"].to_numpy().astype("U40")
        np.savez(place, **arrays)
    return str(place)


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl", "npz"])
def test_every_kind_of_table_is_read(tmp_path: Path, kind: str) -> None:
    found = scanned(written(tmp_path, kind))
    columns = {column["name"]: column for column in found["columns"]}
    assert found["problem"] == ""
    assert columns["note"]["kinds"] == {"email": 4}
    assert columns["card"]["kinds"] == {"card": 30}
    assert columns["serial"]["kinds"] == {}
    if kind != "npz":
        assert columns["surname"]["named"] == "name"
        assert (columns["day"]["oldest"], columns["day"]["newest"]) == ("2003-02-01", "2024-05-17")
    assert "a@b.example" not in json.dumps(found)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.parquet", b"PAR1broken"), ("a.npz", b"PK\x03\x04broken"), ("a.csv", b""),
        ("a.csv", b'"unclosed\n' * 9), ("a.jsonl", b"{" * 9000), ("a.txt", bytes(range(256))),
    ],
)  # fmt: skip
def test_broken_files_are_an_answer(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    found = scanned(str(tmp_path / name))
    assert found["rows"] >= 0


def test_no_more_rows_are_read_than_allowed(tmp_path: Path) -> None:
    for kind in ("csv", "parquet", "jsonl"):
        assert scanned(written(tmp_path, kind), 7)["rows"] == 7


def test_wide_tables_are_read_for_fewer_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.detectors.data.identifier_scan.MOST_CELLS", 20)
    assert scanned(written(tmp_path, "csv"))["rows"] == 4
