from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tasks.checks.artifact.scan import measure
from tasks.checks.lab import NotAvailable
from tasks.domain.severity import Severity
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
