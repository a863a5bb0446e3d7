import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from tasks.sandbox.protocol import Reply
from tasks.scanners import second_opinion
from tasks.scanners.asking import opinions_on
from tasks.scanners.report import FileReport
from tasks.scanners.scan import scan_file, scan_paths_json
from tasks.scanners.second_opinion import (
    Opinion,
    ask_scanner,
    compared,
    failed,
    opinion_of,
    with_opinions,
)
from tests.simulators.sandbox import DirectSandbox
from tests.tasks.scanners.corpus import EVIL, archived, torch_like

GOOD = archived(torch_like())
ASKED = [name for name in second_opinion.SCANNERS if importlib.util.find_spec(name)]


def report(folder: Path, data: bytes) -> FileReport:
    path = folder / "model.pt"
    path.write_bytes(data)
    return scan_file(path)


def said(answer: Any, reason: str = "") -> Opinion:
    return Opinion("other", "1", answer, reason)


@pytest.mark.parametrize(
    ("data", "opinion", "rule"),
    [
        (GOOD, said("flagged", "os.system"), "second_opinion.disagreement"),
        (GOOD, said("silent"), None),
        (EVIL, said("silent"), "second_opinion.disagreement"),
        (EVIL, said("flagged"), None),
        (GOOD, said("failed", "it died"), "second_opinion.failed"),
    ],
    ids=["they flag", "both silent", "we flag", "both flag", "no opinion"],
)
def test_disagreements_are_findings_and_change_no_outcome(
    data: bytes, opinion: Opinion, rule: str | None, tmp_path: Path
) -> None:
    own = report(tmp_path, data)
    found = compared(own, [opinion])
    assert [each.rule for each in found] == ([rule] if rule else [])
    assert with_opinions(own, [opinion]).outcome == own.outcome


def test_what_they_say_is_shown_plainly(tmp_path: Path) -> None:
    (found,) = compared(report(tmp_path, GOOD), [said("flagged", "\x1b[31m" + "a" * 900)])
    assert "\x1b" not in found.detail
    assert len(found.detail) <= 300


def test_a_foreign_defect_is_no_opinion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = types.ModuleType("picklescan.scanner")

    def explode(_: str) -> None:
        raise MemoryError("too much")

    broken.scan_file_path = explode  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picklescan.scanner", broken)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "9")
    reply = ask_scanner(scanner="picklescan", path=str(tmp_path / "x"))
    assert opinion_of(reply, "picklescan") == Opinion(
        "picklescan", "9", "failed", "MemoryError: too much"
    )


def test_a_child_that_lies_has_no_opinion() -> None:
    nonsense = Reply({}, {"answer": "certainly"})
    assert opinion_of(nonsense, "x") == failed("x", "its answer is none")


@pytest.mark.skipif(not ASKED, reason="no second scanner is installed")
@pytest.mark.parametrize("name", ASKED)
def test_real_scanners_are_understood(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert opinion_of(ask_scanner(scanner=name, path=str(path)), name).answer == "flagged"
    path.write_bytes(b"\x80\x02]q\x00.")
    assert opinion_of(ask_scanner(scanner=name, path=str(path)), name).answer == "silent"


def test_every_scanned_file_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(path: Path) -> tuple[str, str]:
        asked.append(path.name)
        return "flagged", "a rule of theirs"

    monkeypatch.setattr(second_opinion, "_picklescan", answer)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "9")
    paths = [tmp_path / "a.pt", tmp_path / "b.md", tmp_path / "missing"]
    paths[0].write_bytes(GOOD)
    paths[1].write_text("# text\n")
    names = [path.name for path in paths]
    values = scan_paths_json(paths=[str(path) for path in paths], names=names).values
    answered = opinions_on(values, paths, ["picklescan"], DirectSandbox())
    assert asked == ["a.pt"]
    assert answered["files"][0]["findings"][-1]["rule"] == "second_opinion.disagreement"
    assert answered["outcome"] == values["outcome"]
