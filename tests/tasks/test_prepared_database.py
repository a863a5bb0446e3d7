"""A new home begins with tables, with nobody's rows, and never loses a database that it has."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tasks import prepared_database
from tasks.prepared_database import NAME, begin, prepared


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "made.db"
    place.write_bytes(b"tables")
    monkeypatch.setattr(prepared_database, "prepared", lambda: place)
    return place


def test_a_new_home_gets_a_copy_of_its_own(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(begin, [folder] * 8))
    (folder / NAME).write_bytes(b"changed")
    assert made.read_bytes() == b"tables"
    assert [file.name for file in folder.iterdir()] == [NAME]


def test_a_home_keeps_the_database_that_it_has(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / NAME).write_bytes(b"runs of a year")
    begin(folder)
    assert (folder / NAME).read_bytes() == b"runs of a year"


def test_without_a_prepared_one_the_server_makes_its_own(made: Path, tmp_path: Path) -> None:
    made.unlink()
    folder = tmp_path / "home"
    folder.mkdir()
    begin(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not prepared().exists(), reason="set-up made no database: make setup")
def test_what_set_up_made_holds_tables_and_no_rows() -> None:
    with closing(sqlite3.connect(f"file:{prepared()}?mode=ro", uri=True)) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        filled = {name for name in tables if database.execute(f'SELECT 1 FROM "{name}"').fetchone()}  # noqa: S608 - names of tables that are there
    assert "flow_run" in tables
    assert filled == {"alembic_version"}
