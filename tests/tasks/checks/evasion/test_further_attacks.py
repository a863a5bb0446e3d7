"""The questions beyond small changes per value, each on a plain and a hardened digits reader."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from tasks.catalog.reading import Catalog
from tasks.checks.evasion import corruptions, decision_based, minimal_norm, patch, spatial
from tasks.checks.lab import Examples, Lab, NotApplicable, NotAvailable
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.tasks.targets.models import (
    description,
    digits,
    lab_for,
    trained,
    write_model,
)

MEASURES: dict[str, tuple[Callable[[Lab], Measurement], dict[str, Any]]] = {
    "evasion.minimal_norm": (minimal_norm.measure, {"points": 40, "steps": 40}),
    "evasion.decision_based": (
        decision_based.measure,
        {"points": 30, "queries": 300, "epsilon": 0.2},
    ),
    "evasion.corruptions": (corruptions.measure, {"points": 40, "severity_step": 4}),
    "evasion.spatial": (spatial.measure, {"points": 40}),
    "evasion.patch": (patch.measure, {"points": 40, "side": 0.4, "steps": 30}),
}
every_question = pytest.mark.parametrize("check", MEASURES)


def bench(folder: Path, check: str, *, hardened: bool = False, **settings: Any) -> Lab:
    write_model(folder, trained(adversarial_epsilon=0.1 if hardened else 0.0))
    given: dict[str, Any] = {"model": description(), "evaluation": digits().test}
    return lab_for(folder, check, parameters=MEASURES[check][1], **(given | settings))


@every_question
def test_controls_hold_and_attacks_bite(tmp_path: Path, check: str) -> None:
    found = MEASURES[check][0](bench(tmp_path, check))
    assert [control.name for control in found.controls if not control.held] == []
    assert found.alarms == ()
    assert found.cost.queries > 0
    clean = found.estimates["clean_accuracy"].value
    gate: Any = Catalog().check(check).gate
    assert found.estimates[gate.estimate].value < clean


@every_question
def test_hardening_shows_where_it_should(tmp_path: Path, check: str) -> None:
    gate: Any = Catalog().check(check).gate
    values = []
    for hardened in (False, True):
        folder = tmp_path / str(hardened)
        folder.mkdir()
        found = MEASURES[check][0](bench(folder, check, hardened=hardened))
        values.append(found.estimates[gate.estimate].value)
    if check in {"evasion.minimal_norm", "evasion.decision_based"}:
        assert values[1] > values[0]
    else:  # trained against another threat: no promise either way
        assert 0 <= min(values) <= max(values) <= 1


def test_the_curve_falls_and_ends_at_nobody(tmp_path: Path) -> None:
    lab = bench(tmp_path, "evasion.minimal_norm")
    found = minimal_norm.measure(lab)
    rows = json.loads(lab._store.get(found.artifacts[0].digest))
    for norm in ("l2", "linf"):
        heights = [row["robust_accuracy"] for row in rows if row["norm"] == norm]
        assert heights == sorted(heights, reverse=True)
        assert heights[0] == found.estimates["clean_accuracy"].value
        assert heights[-1] == 0


def test_rounding_to_whole_numbers_is_no_robustness(tmp_path: Path) -> None:
    inputs, labels = digits().test
    model = description(dtype="uint8", range=[0, 255], std=[255])
    whole = Examples(np.round(inputs * 255).astype(np.float32), labels)
    lab = bench(tmp_path, "evasion.minimal_norm", model=model, evaluation=whole)
    found = minimal_norm.measure(lab)
    assert found.alarms == ()
    (tmp_path / "plain").mkdir()
    plain = minimal_norm.measure(bench(tmp_path / "plain", "evasion.minimal_norm"))
    rounded, exact = (each.estimates["median_rms_change"].value for each in (found, plain))
    assert rounded == pytest.approx(exact, rel=0.25)


def test_witnesses_are_in_the_budget_and_read_as_told(tmp_path: Path) -> None:
    lab = bench(tmp_path, "evasion.decision_based")
    found = decision_based.measure(lab)
    kept = safetensors.numpy.load(lab._store.get(found.artifacts[0].digest))
    assert np.abs(kept["adversarial"] - kept["clean"]).max() <= 0.2 + 1e-5
    with torch.no_grad():
        read = trained()(torch.from_numpy(kept["adversarial"])).argmax(1).numpy()
    assert (read != kept["labels"]).all()


@pytest.mark.parametrize("check", ["evasion.corruptions", "evasion.spatial", "evasion.patch"])
def test_rows_of_a_table_are_no_pictures(tmp_path: Path, check: str) -> None:
    rows = digits().test.inputs.reshape(797, 64)
    write_model(tmp_path, trained())
    lab = lab_for(
        tmp_path,
        check,
        model=description(shape=(64,)),
        evaluation=Examples(rows, digits().test.labels),
    )
    with pytest.raises(NotApplicable, match="no pictures"):
        MEASURES[check][0](lab)


@pytest.mark.parametrize("check", ["evasion.minimal_norm", "evasion.patch"])
def test_a_model_without_gradients_is_not_available(tmp_path: Path, check: str) -> None:
    lab = bench(tmp_path, check)
    lab._target = lab.target() | {"access": "scores"}
    with pytest.raises(NotAvailable, match="gradients are needed"):
        MEASURES[check][0](lab)


@every_question
def test_no_correct_point_is_no_robustness(tmp_path: Path, check: str) -> None:
    inputs, labels = digits().test
    lab = bench(tmp_path, check, evaluation=Examples(inputs, (labels + 1) % 10))
    finding = judge(Catalog().check(check), MEASURES[check][0](lab))
    assert finding.outcome is Outcome.FAIL
