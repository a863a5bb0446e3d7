from pathlib import Path

from tests.benchmarks.evasion_picture import draw
from tests.benchmarks.tables import evasion_table, write_section

ROW = {
    "work": "digits", "tool": "Proofhouse", "version": "1", "n": 5,
    "seconds": {"median": 1.5, "min": 1.5, "max": 1.5}, "passes": 12345, "peak_mib": 90,
    "quality": {"robust": 0.4, "fewer_passes": 9.5},
}  # fmt: skip
SKIPPED = {"work": "digits", "tool": "Foolbox PGD-100", "skipped": "foolbox is not installed"}


def test_a_section_is_replaced_and_its_neighbours_stay(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    write_section("evasion", "first table", readme)
    write_section("scan", "another table", readme)
    write_section("evasion", "second \\1 table", readme)
    text = readme.read_text()
    assert "first table" not in text
    assert text.index("second \\1 table") < text.index("another table")
    assert text.count("Measured on") == 2


def test_every_row_is_a_line_skipped_ones_too() -> None:
    lines = evasion_table([ROW, SKIPPED]).splitlines()
    assert lines[-2] == ("| digits | Proofhouse | 5 | 0.4 | 12,345 | 1.5 | 90 | fewer passes 9.5 |")
    assert lines[-1].endswith("skipped: foolbox is not installed |")


def test_the_picture_needs_no_common_work(tmp_path: Path) -> None:
    draw([ROW, SKIPPED], tmp_path / "evasion.svg")
    assert (tmp_path / "evasion.svg").read_text().startswith("<?xml")
