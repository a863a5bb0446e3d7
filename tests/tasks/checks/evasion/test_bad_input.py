"""Models and data that are not what they seem: a finding or a clear reason, never a false pass."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.checks.lab import Examples, Lab
from tasks.checks.running import _guarded
from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import ChildRaisedError
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement, Status
from tasks.judging.gates import judge
from tasks.targets.torch_target import TorchTarget
from tests.simulators.sandbox import DirectSession
from tests.tasks.targets.models import description, digits, lab_for, trained, write_model

SMALL: dict[str, dict[str, Any]] = {
    "evasion.linf_robust_accuracy": {
        "points": 30,
        "steps": 10,
        "square_queries": 50,
        "epsilon": 0.01,
    },
    "evasion.minimal_norm": {"points": 12, "steps": 15},
    "evasion.decision_based": {"points": 12, "queries": 120, "epsilon": 0.05},
    "evasion.spatial": {"points": 12, "degrees": 5, "angles": 3, "shift": 0.01},
    "evasion.patch": {"points": 12, "side": 0.1, "steps": 10},
    "evasion.corruptions": {"points": 12, "severity_step": 4},
    "evasion.certified_radius": {"points": 12, "radius": 0.05, "sigma": 0.1, "votes": 100},
}
every_question = pytest.mark.parametrize("check", SMALL)


class Stepped(nn.Module):
    """Answers a class and no slope."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        read = trained()(inputs.detach()).argmax(1)
        return nn.functional.one_hot(read, 10).float()


class Undecided(nn.Module):
    """Answers another way each time."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = trained()(inputs + 0.02 * torch.randn_like(inputs))
        return scores


class Gaps(nn.Module):
    """Answers NaN to pictures with a bright first pixel."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = trained()(inputs)
        bright = inputs[:, :, 0, 0] > 0.999
        holed: torch.Tensor = torch.where(bright, torch.nan, scores)
        return holed


class Mixed(nn.Module):
    """Normalises by the batch it happens to be in, whatever mode it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = trained()
        self.norm = nn.BatchNorm1d(10, track_running_stats=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.inner(inputs)
        if len(scores) == 1:
            return scores.clone()
        normalised: torch.Tensor = self.norm(scores)
        return normalised


class Probable(nn.Module):
    """Says logits, answers probabilities."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.softmax(trained()(inputs), dim=1)


class Pair(nn.Module):
    """Two classes: low digits and high ones."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores = trained()(inputs)
        return torch.stack([scores[:, :5].amax(1), scores[:, 5:].amax(1)], dim=1)


def asked(
    folder: Path, check: str, module: nn.Module, *, evaluation: Examples | None = None,
    classes: int = 10,
) -> Measurement:  # fmt: skip
    write_model(folder, trained())
    lab: Lab = lab_for(
        folder, check, model=description(classes=classes), parameters=SMALL[check],
        evaluation=evaluation or digits().test,
    )  # fmt: skip
    session = DirectSession()
    model = ModelSpec.model_validate(description(classes=classes))
    session.kept = TorchTarget(module.eval(), model, kind="planted")
    lab._session, lab._target = session, session.kept.describe()
    return _guarded(Catalog().check(check), lab)


@functools.cache
def honest(check: str) -> Measurement:
    """What a model without a fault is told, measured once."""
    with tempfile.TemporaryDirectory() as folder:
        return asked(Path(folder), check, trained())


@every_question
def test_an_honest_model_passes_at_a_tiny_budget(check: str) -> None:
    """The table below means something only if these settings can pass at all."""
    found = honest(check)
    assert found.status is Status.MEASURED, found.detail
    threshold = 0.0001 if check == "evasion.minimal_norm" else 0.2
    finding = judge(Catalog().check(check), found, threshold=threshold)
    assert finding.outcome is Outcome.PASS, finding.detail


@every_question
def test_answers_at_random_never_pass(tmp_path: Path, check: str) -> None:
    found = asked(tmp_path, check, Undecided())
    assert any("differently to equal inputs" in alarm for alarm in found.alarms)
    assert judge(Catalog().check(check), found, threshold=0.0001).outcome is not Outcome.PASS


@every_question
def test_answers_that_depend_on_the_batch_never_pass(tmp_path: Path, check: str) -> None:
    found = asked(tmp_path, check, Mixed())
    assert any("depends on the batch" in alarm for alarm in found.alarms)
    assert judge(Catalog().check(check), found, threshold=0.0001).outcome is not Outcome.PASS


@every_question
def test_a_model_without_slopes_is_not_called_robust_by_gradients(
    tmp_path: Path, check: str
) -> None:
    found = asked(tmp_path, check, Stepped())
    if Catalog().check(check).needs.target == "gradients":
        assert found.status is Status.NOT_AVAILABLE
        assert "gradients are needed" in found.detail
    else:
        assert found.status is Status.MEASURED, found.detail


@every_question
def test_nan_is_an_error_that_says_so(tmp_path: Path, check: str) -> None:
    inputs = digits().test.inputs.copy()
    inputs[:, 0, 0, 0] = 1
    found = asked(tmp_path, check, Gaps(), evaluation=Examples(inputs, digits().test.labels))
    assert found.status is Status.ERROR
    assert "NaN or infinity" in found.detail
    assert judge(Catalog().check(check), found).outcome is Outcome.ERROR


@every_question
def test_probabilities_are_read_as_such(tmp_path: Path, check: str) -> None:
    found = asked(tmp_path, check, Probable())
    assert found.status is Status.MEASURED, found.detail
    assert any("read as probabilities" in limit for limit in found.limits)
    estimate: Any = Catalog().check(check).gate
    name = estimate.estimate
    assert found.estimates[name].value == pytest.approx(
        honest(check).estimates[name].value, abs=0.1
    )


@every_question
def test_two_classes_are_enough(tmp_path: Path, check: str) -> None:
    inputs, labels = digits().test
    halves = Examples(inputs, (labels >= 5).astype(np.int64))
    found = asked(tmp_path, check, Pair(), evaluation=halves, classes=2)
    assert found.status is Status.MEASURED, found.detail
    assert found.estimates["clean_accuracy"].value > 0.7


@every_question
def test_another_range_is_told(tmp_path: Path, check: str) -> None:
    inputs, labels = digits().test
    found = asked(tmp_path, check, trained(), evaluation=Examples(inputs * 255, labels))
    assert found.status is Status.NOT_AVAILABLE
    assert "correct model.input.range" in found.detail


@every_question
def test_wrong_labels_are_no_robustness(tmp_path: Path, check: str) -> None:
    inputs, labels = digits().test
    found = asked(tmp_path, check, trained(), evaluation=Examples(inputs, (labels + 3) % 10))
    assert judge(Catalog().check(check), found).outcome is Outcome.FAIL


@every_question
def test_a_child_that_breaks_is_an_error(tmp_path: Path, check: str) -> None:
    write_model(tmp_path, trained())
    lab = lab_for(
        tmp_path, check, model=description(), evaluation=digits().test, parameters=SMALL[check]
    )

    def broken(*_: Any, **__: Any) -> Any:
        raise ChildRaisedError("the child fell over")

    lab.run = broken  # type: ignore[method-assign]
    found = _guarded(Catalog().check(check), lab)
    assert found.status is Status.ERROR
    assert "fell over" in found.detail


def test_settings_that_are_no_json_are_told(tmp_path: Path) -> None:
    write_model(tmp_path, trained())
    check = "evasion.provider"
    for settings, reason in (("{a}", "no JSON"), ('{"art:X": [1]}', "must look like")):
        lab = lab_for(
            tmp_path, check, model=description(), evaluation=digits().test,
            parameters={"attacks": "art:X", "settings": settings, "points": 5},
        )  # fmt: skip
        found = _guarded(Catalog().check(check), lab)
        assert found.status is Status.NOT_AVAILABLE
        assert reason in found.detail


@pytest.mark.parametrize(
    "attacks", ["art", "os:system", "art:Hop Skip", "art:A,", "pickle:loads", "art:../x"]
)
def test_names_of_attacks_are_checked_before_anything_runs(attacks: str) -> None:
    from tasks.domain.errors import CatalogError  # noqa: PLC0415 - only here

    with pytest.raises(CatalogError, match="must match"):
        resolve_parameters(Catalog().check("evasion.provider"), {"attacks": attacks})
