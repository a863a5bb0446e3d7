from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tasks.checks.artifact.behaviour import measure
from tasks.checks.lab import Lab
from tasks.domain.errors import (
    ChildDiedError,
    ChildError,
    ChildProtocolError,
    ChildTimeoutError,
)
from tasks.domain.measurement import Measurement
from tasks.domain.severity import Severity
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject


def lab(tmp_path: Path, weights: bytes | None = None) -> Lab:
    store = MemoryStore()
    return Lab(
        subject=linear_subject(store, weights=weights),
        store=store,
        sandbox=DirectSandbox(),
        workspace=tmp_path,
        parameters={"inputs": 8},
        seed=1,
    )


def rules(measurement: Measurement) -> list[str]:
    return [observation.rule for observation in measurement.observations]


def test_a_good_model_has_no_observation(tmp_path: Path) -> None:
    measurement = measure(lab(tmp_path))
    assert rules(measurement) == []
    assert measurement.facts["refused"] is None
    assert measurement.cost.queries == 16


def test_a_model_with_nan_weights_is_refused(tmp_path: Path) -> None:
    weight = np.full((3, 4), np.nan, np.float32)
    weights = safetensors.numpy.save({"weight": weight, "bias": np.zeros(3, np.float32)})
    measurement = measure(lab(tmp_path, weights))
    assert rules(measurement)[0] in {"behaviour.not_finite", "behaviour.unusable"}
    assert measurement.facts["refused"]


def test_a_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    weights = safetensors.numpy.save(
        {"weight": np.zeros((7, 4), np.float32), "bias": np.zeros(7, np.float32)}
    )
    assert rules(measure(lab(tmp_path, weights))) == ["behaviour.unusable"]


@pytest.mark.parametrize(
    ("error", "rule", "severity"),
    [
        (ChildTimeoutError("60 s"), "behaviour.hangs", Severity.HIGH),
        (ChildDiedError("signal 9"), "behaviour.dies", Severity.HIGH),
        (ChildProtocolError("garbage"), "behaviour.forges_answers", Severity.CRITICAL),
        (ChildError("other"), "behaviour.broken", Severity.HIGH),
    ],
)
def test_each_way_of_misbehaving_has_its_rule(
    error: ChildError,
    rule: str,
    severity: Severity,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Lab) -> None:
        raise error

    monkeypatch.setattr(Lab, "target", broken)
    (observation,) = measure(lab(tmp_path)).observations
    assert (observation.rule, observation.severity) == (rule, severity)
    assert observation.location == "opening"
