"""Rules of the artifact scan: each one told by some file, each one told has an entry."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.catalog.reading import Catalog
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.scanners import scan, text_file
from tasks.scanners.inspection import Notes
from tasks.scanners.scan import scan_file
from tests.tasks.scanners.corpus import hostile
from tests.tasks.scanners.corpus_rules import doubtful

CATALOG = Catalog()
RULES = CATALOG.ids("rules")
ELSEWHERE = {
    "file.name_not_text": "tests/tasks/commands/test_commands.py",
    "scan.other_bytes": "tests/tasks/checks/artifact/test_scan.py",
    "second_opinion.disagreement": "tests/tasks/scanners/test_second_opinion.py",
    "second_opinion.failed": "tests/tasks/scanners/test_second_opinion.py",
}
"""Rules that the scan of a file cannot tell, and where a test sets each of them off."""

Told = dict[str, set[Severity]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("rules")
    path = folder / "file"
    found: Told = defaultdict(set)
    for name, data in [*hostile(), *doubtful()]:
        path.write_bytes(data)
        for finding in scan_file(path, name).findings:
            found[finding.rule].add(finding.severity)
    for finding in _conditions(folder):
        found[finding.rule].add(finding.severity)
    return found


def _conditions(folder: Path) -> Iterator[Observation]:
    """What no bytes can set off: the place of the file, and a reading that breaks."""
    os.mkfifo(folder / "pipe")
    yield from scan_file(folder / "pipe").findings
    yield from scan_file(folder / "missing").findings
    note = folder / "note.md"
    note.write_text("# text\n")
    for error in (ZeroDivisionError(), OSError("the disk is gone")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(text_file, "inspect_text", _raising(error))
            yield from scan_file(note).findings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "check_suffix", lambda *_: os.utime(note, (1, 1)))
        yield from scan_file(note).findings
    notes = Notes()
    for index in range(400):
        notes.add(Observation(rule="zip.empty", severity=Severity.MEDIUM, detail=str(index)))
    yield from notes.listed()


def _raising(error: Exception) -> object:
    def broken(*_: object) -> str:
        raise error

    return broken


def test_every_rule_that_is_told_has_an_entry(told: Told) -> None:
    assert set(told) - set(RULES) == set()


def test_every_entry_is_told_by_some_file(told: Told) -> None:
    assert set(RULES) - set(told) - set(ELSEWHERE) == set()


def test_severities_are_those_of_the_entry(told: Told) -> None:
    wrong = {}
    for rule, severities in told.items():
        entry = CATALOG.rule(rule)
        if severities != {entry.severity, *entry.milder}:
            wrong[rule] = sorted(each.value for each in severities)
    assert wrong == {}


@pytest.mark.parametrize("rule", RULES)
def test_an_entry_speaks_to_whoever_reads_it(rule: str) -> None:
    entry = CATALOG.rule(rule)
    assert entry.reason.endswith(".")
    assert entry.remedy.endswith(".")
    assert not entry.title.endswith(".")


@pytest.mark.parametrize(("rule", "place"), sorted(ELSEWHERE.items()))
def test_what_no_file_tells_is_told_in_a_test(rule: str, place: str) -> None:
    root = Path(__file__).parents[2]
    assert rule in (root / place).read_text(encoding="utf-8")
