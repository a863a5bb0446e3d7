"""Inputs that once broke a parser, replayed; and the fuzzer's own target seen to work."""

from pathlib import Path

import pytest

from tasks.scanners import text_file
from tasks.scanners.scan import scan_file
from tests.tasks.scanners.fuzz_parsers import KEPT, kept_inputs, parsers, read_once

INPUTS = sorted(path for path in KEPT.rglob("*") if path.is_file() and path.parent != KEPT)


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name[-8:]}")
def test_an_input_that_broke_a_parser_is_read(path: Path) -> None:
    read_once(path.parent.name, path.read_bytes())
    report = scan_file(path, "model.bin")
    assert "scan.broke" not in {finding.rule for finding in report.findings}


@pytest.mark.parametrize("parser", parsers())
def test_what_reached_new_code_is_read(parser: str) -> None:
    inputs = list(kept_inputs(parser))
    assert inputs
    for _, data in inputs:
        read_once(parser, data)


def test_inputs_belong_to_parsers() -> None:
    assert {path.parent.name for path in INPUTS} <= set(parsers())
    assert INPUTS


def test_the_target_lets_a_defect_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(text_file, "inspect_text", broken)
    with pytest.raises(ZeroDivisionError):
        read_once("text", b"a plain text\n")
