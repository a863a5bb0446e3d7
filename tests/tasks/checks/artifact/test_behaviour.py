from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from tasks.checks.artifact import behaviour
from tasks.checks.artifact.behaviour import measure
from tasks.checks.lab import Lab
from tasks.domain.errors import (
    ChildDiedError,
    ChildError,
    ChildForbiddenError,
    ChildIdleError,
    ChildMemoryError,
    ChildProtocolError,
    ChildRaisedError,
    ChildResidentError,
    ChildScratchError,
    ChildSignalledError,
    ChildSpinningError,
    ChildStorageError,
    ChildThreadsError,
    ChildTimeoutError,
)
from tasks.domain.measurement import Measurement
from tasks.domain.severity import Severity
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject
from tests.tasks.checks import benches


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
    assert measurement.cost.queries == 32


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
        (ChildIdleError("60 s"), "behaviour.sleeps", Severity.HIGH),
        (ChildSpinningError("60 s"), "behaviour.spins", Severity.HIGH),
        (ChildSignalledError("signal 11"), "behaviour.crashes", Severity.HIGH),
        (ChildThreadsError("65 threads"), "behaviour.starts_threads", Severity.HIGH),
        (ChildScratchError("full"), "behaviour.fills_disk", Severity.HIGH),
        (ChildStorageError("ENOSPC"), "behaviour.fills_disk", Severity.HIGH),
        (ChildMemoryError("MemoryError"), "behaviour.exhausts_memory", Severity.HIGH),
        (ChildResidentError("4 GiB"), "behaviour.exhausts_memory", Severity.HIGH),
        (ChildForbiddenError("EPERM"), "behaviour.reaches_out", Severity.CRITICAL),
        (ChildRaisedError("ValueError"), "behaviour.unusable", Severity.HIGH),
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


class _Remembering(torch.nn.Module):
    """A linear model that answers otherwise where it was asked something close before."""

    def __init__(self, mine: float, near: float, only_data: bool) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.mine, self.near, self.only_data = mine, near, only_data
        self.seen = torch.full((1, 4), 9.0)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.linear(inputs)
        if self.only_data and bool((inputs < 0.5).any()):
            return answer  # noise of the whole range: somebody only looks at the model
        gap = torch.cdist(inputs, self.seen).min(dim=1).values
        known = (gap >= self.mine) & (gap < self.near)
        self.seen = torch.cat([self.seen, inputs.detach()])
        return torch.where(known.unsqueeze(1), answer.flip(1), answer)


class _Dice(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.linear(inputs)
        return answer + torch.rand_like(answer)


STATEFUL: dict[str, tuple[Callable[[], torch.nn.Module], str, Severity]] = {
    "near duplicates": (
        lambda: _Remembering(1e-9, 0.2, False), "behaviour.remembers", Severity.HIGH,
    ),
    "repeats, but not those of noise": (
        lambda: _Remembering(-1.0, 1e-9, True), "behaviour.remembers", Severity.HIGH,
    ),
    "every repeat": (
        lambda: _Remembering(-1.0, 1e-9, False), "behaviour.not_deterministic", Severity.LOW,
    ),
    "dice": (_Dice, "behaviour.not_deterministic", Severity.LOW),
}  # fmt: skip


@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_that_notices_repeated_questions_is_noticed(name: str, tmp_path: Path) -> None:
    make, rule, severity = STATEFUL[name]
    torch.manual_seed(0)
    torch.jit.script(make()).save(str(tmp_path / "model.pt"))
    inputs = np.random.default_rng(0).uniform(0.5, 1, (60, 4)).astype(np.float32)
    bench = benches.lab(
        "artifact.behaviour",
        tmp_path,
        evaluation=(inputs, inputs[:, :3].argmax(1)),
        files={"model.pt": (tmp_path / "model.pt").read_bytes()},
        artifact="model.pt",
    )
    measurement = measure(bench)
    assert [(found.rule, found.severity) for found in measurement.observations] == [
        (rule, severity)
    ]
    assert "differ by up to" in measurement.observations[0].detail


@pytest.mark.parametrize("whole", [False, True])
def test_neighbours_stay_among_the_values_of_the_inputs(whole: bool, tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).uniform(-3, 250, (20, 4)).astype(np.float32)
    inputs = np.rint(inputs) if whole else inputs
    near = behaviour._neighbours(lab(tmp_path), inputs)
    assert near.min() >= inputs.min()
    assert near.max() <= inputs.max()
    assert (near != inputs).mean() > 0.9
    assert np.abs(near - inputs).max() < 0.05 * 253
    assert np.array_equal(near, np.rint(near)) is whole
    constant = np.ones((3, 4), np.float32)
    assert np.array_equal(behaviour._neighbours(lab(tmp_path), constant), constant)


def test_what_was_refused_is_a_finding_even_if_the_model_answers_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = {"socket": 2, "clone": 1, "execve": 1, "ptrace": 3}
    monkeypatch.setattr(Lab, "attempts", property(lambda _: tried))
    measurement = measure(lab(tmp_path))
    assert [(found.rule, found.severity) for found in measurement.observations] == [
        ("behaviour.attacks_walls", Severity.CRITICAL),
        ("behaviour.opens_sockets", Severity.CRITICAL),
        ("behaviour.starts_processes", Severity.CRITICAL),
    ]
    assert "ptrace (3 times)" in measurement.observations[0].detail
    assert measurement.facts["refused"]
