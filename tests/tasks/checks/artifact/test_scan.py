from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tasks.checks.artifact import scan
from tasks.checks.artifact.scan import _unproven, measure
from tasks.checks.lab import NotAvailable
from tasks.domain.severity import Severity
from tasks.scanners import second_opinion
from tasks.scanners.report import ScanReport
from tests.tasks.checks.benches import lab
from tests.tasks.scanners.corpus import EVIL, archived, torch_like

GOOD = safetensors.numpy.save({"w": np.ones((2, 2), np.float32)})


def test_honest_files_leave_no_observation(tmp_path: Path) -> None:
    files = {"model.safetensors": GOOD, "docs/card.md": b"# Card\n"}
    measurement = measure(lab("artifact.scan", tmp_path, files=files))
    assert measurement.observations == ()
    assert measurement.alarms == ()
    assert measurement.facts["artifact_may_be_opened"] is True
    assert measurement.facts["format.safetensors"] == 1


def test_a_hidden_pickle_is_critical_and_located(tmp_path: Path) -> None:
    files = {"model.safetensors": archived(torch_like(EVIL)), "a.md": b"text\n"}
    measurement = measure(lab("artifact.scan", tmp_path, files=files))
    worst = measurement.observations[0]
    assert worst.severity is Severity.CRITICAL
    assert worst.rule == "pickle.dangerous_global"
    assert worst.location == "model.safetensors!m/data.pkl:2"
    assert measurement.facts["artifact_may_be_opened"] is False


def test_what_nobody_read_raises_an_alarm(tmp_path: Path) -> None:
    files = {"model.safetensors": GOOD, "blob": bytes(range(255, 0, -1)) * 4}
    measurement = measure(lab("artifact.scan", tmp_path, files=files))
    assert measurement.alarms == ("blob was not assessed (format.unknown)",)


def test_without_files_the_question_cannot_be_answered(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable):
        measure(lab("artifact.scan", tmp_path))


def test_a_report_about_other_bytes_is_told(tmp_path: Path) -> None:
    bench = lab("artifact.scan", tmp_path, files={"model.safetensors": GOOD})
    entries = bench.subject.files
    report = ScanReport.of([])
    (found,) = _unproven(report, entries)
    assert (found.rule, found.severity) == ("scan.other_bytes", Severity.HIGH)


def test_a_second_opinion_is_asked_when_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"model.safetensors": GOOD}
    monkeypatch.setattr(scan, "installed", tuple)
    wanted = measure(
        lab("artifact.scan", tmp_path, files=files, parameters={"second_opinion": True})
    )
    assert any("no second scanner" in limit for limit in wanted.limits)
    monkeypatch.setattr(scan, "installed", lambda: ("picklescan",))
    monkeypatch.setattr(second_opinion, "_picklescan", lambda _: ("flagged", "why"))
    monkeypatch.setattr("importlib.metadata.version", lambda _: "9")
    (tmp_path / "b").mkdir()
    wanted = measure(
        lab("artifact.scan", tmp_path / "b", files=files, parameters={"second_opinion": True})
    )
    assert [each.rule for each in wanted.observations] == ["second_opinion.disagreement"]
