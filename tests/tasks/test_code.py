import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks import code
from tasks.code import MEASURING_ROOMS, code_digest
from tasks.domain.digest import Digest

Digested = Callable[[], Digest]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    for room in MEASURING_ROOMS:
        (folder / room / "family").mkdir(parents=True)
        (folder / room / "family" / "one.py").write_text(f"ROOM = {room!r}\n")
    (folder / "reports").mkdir()
    (folder / "scanners" / "known.toml").write_text("allowed = []\n")
    shutil.copyfile(code.__file__, folder / "code.py")
    return folder


@pytest.fixture
def digested(sources: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Digested]:
    """Digests the sources in a folder of their own, without the cache."""
    monkeypatch.setattr(code, "__file__", str(sources / "code.py"))
    yield code_digest.__wrapped__
    code_digest.cache_clear()


def test_every_measuring_room_exists() -> None:
    folder = Path(code.__file__).parent
    assert [room for room in MEASURING_ROOMS if not (folder / room).is_dir()] == []


def test_equal_sources_have_equal_digests(digested: Digested) -> None:
    assert digested() == digested()


@pytest.mark.parametrize("room", MEASURING_ROOMS)
def test_a_changed_line_in_any_measuring_room_counts(
    room: str, sources: Path, digested: Digested
) -> None:
    before = digested()
    (sources / room / "family" / "one.py").write_text("ROOM = 'changed'\n")
    assert digested() != before


def test_a_renamed_or_new_file_counts(sources: Path, digested: Digested) -> None:
    seen = {digested()}
    place = sources / "attacks" / "family" / "one.py"
    place.rename(place.with_name("two.py"))
    seen.add(digested())
    place.write_text("")
    seen.add(digested())
    assert len(seen) == 3


def test_data_that_a_scanner_reads_counts(sources: Path, digested: Digested) -> None:
    before = digested()
    (sources / "scanners" / "known.toml").write_text("allowed = ['os.system']\n")
    assert digested() != before


def test_reports_caches_and_readmes_do_not_count(sources: Path, digested: Digested) -> None:
    before = digested()
    (sources / "reports" / "html.py").write_text("changed\n")
    (sources / "attacks" / "README.md").write_text("words\n")
    (sources / "attacks" / "__pycache__").mkdir()
    (sources / "attacks" / "__pycache__" / "one.cpython-311.pyc").write_bytes(b"\x00")
    assert digested() == before
