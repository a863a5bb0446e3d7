from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.data.validation import measure
from tasks.checks.lab import NotAvailable
from tasks.domain.bundle import InputSpec
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement, Observation
from tasks.domain.severity import Severity
from tasks.judging.gates import judge
from tests.tasks.checks.benches import Rows, lab

CHECK = "data.validation"


def rows(n: int = 240, *, seed: int = 0, classes: int = 3) -> Rows:
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(0, 1, (n, 1, 4, 4)).astype(np.float32)
    return inputs, np.arange(n, dtype=np.int64) % classes


def measured(tmp_path: Path, **more: Any) -> Measurement:
    return measure(lab(CHECK, tmp_path, **more))


def rules(found: Measurement) -> dict[str, Severity]:
    return {seen.rule: seen.severity for seen in found.observations}


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(CHECK), found).outcome


def test_sound_data_passes_with_controls_that_held(tmp_path: Path) -> None:
    found = measured(tmp_path, evaluation=rows(), training=rows(seed=1))
    assert found.observations == ()
    assert [control.held for control in found.controls] == [True, True]
    assert found.estimates["overlap"].value == 0
    assert outcome(found) is Outcome.PASS


def test_equal_specs_give_equal_bytes(tmp_path: Path) -> None:
    first, again = (measured(tmp_path, evaluation=rows()) for _ in range(2))
    assert first.canonical() == again.canonical()


def _with_nan(data: Rows) -> Rows:
    data[0][3, 0, 0, 0] = np.nan
    return data


def _too_bright(data: Rows) -> Rows:
    data[0][3] *= 255
    return data


def _too_dark(data: Rows) -> Rows:
    data[0][3, 0, 0, 0] = -0.5
    return data


def _beyond_classes(data: Rows) -> Rows:
    data[1][0] = 3
    return data


def _one_class(data: Rows) -> Rows:
    data[1][:] = 1
    return data


def _class_missing(data: Rows) -> Rows:
    data[1][data[1] == 2] = 1
    return data


def _repeated(data: Rows) -> Rows:
    data[0][: 3 * 40] = np.tile(data[0][:3], (40, 1, 1, 1))
    return data


def _contradicting(data: Rows) -> Rows:
    data[0][: 3 * 40 : 3] = data[0][1 : 1 + 3 * 40 : 3]
    return data


def _blank(data: Rows) -> Rows:
    data[0][:30] = np.linspace(0, 1, 30, dtype=np.float32).reshape(30, 1, 1, 1)
    return data


def _few(data: Rows) -> Rows:
    return data[0][:30], data[1][:30]


def _rare(data: Rows) -> Rows:
    data[1][:] = np.where(np.arange(len(data[1])) < 4, 2, data[1] % 2)
    return data


DEFECTS: dict[str, tuple[Callable[[Rows], Rows], Severity]] = {
    "data.not_finite": (_with_nan, Severity.HIGH),
    "data.range.highest": (_too_bright, Severity.HIGH),
    "data.range.lowest": (_too_dark, Severity.HIGH),
    "data.label_range": (_beyond_classes, Severity.HIGH),
    "data.one_class": (_one_class, Severity.HIGH),
    "data.classes_missing": (_class_missing, Severity.MEDIUM),
    "data.duplicates": (_repeated, Severity.MEDIUM),
    "data.contradictions": (_contradicting, Severity.MEDIUM),
    "data.blank_rows": (_blank, Severity.MEDIUM),
    "data.rows": (_few, Severity.MEDIUM),
    "data.imbalance": (_rare, Severity.LOW),
}


@pytest.mark.parametrize("rule", DEFECTS)
def test_each_defect_breaks_its_rule(rule: str, tmp_path: Path) -> None:
    spoil, severity = DEFECTS[rule]
    found = measured(tmp_path, evaluation=spoil(rows()))
    assert rules(found)[rule] is severity
    assert all(control.held for control in found.controls)
    expected = Outcome.PASS if severity is Severity.LOW else Outcome.FAIL
    assert outcome(found) is expected


@pytest.mark.parametrize(
    ("shared", "severity"), [(1, Severity.LOW), (12, Severity.MEDIUM), (240, Severity.HIGH)]
)
def test_training_rows_in_the_evaluation_data_are_counted(
    shared: int, severity: Severity, tmp_path: Path
) -> None:
    evaluation, training = rows(), rows(seed=1)
    evaluation[0][:shared] = training[0][:shared]
    evaluation[1][:shared] = training[1][:shared]
    found = measured(tmp_path, evaluation=evaluation, training=training)
    assert rules(found) == {"data.overlap": severity}
    assert found.estimates["overlap"].value == shared / 240


def test_tables_are_looked_at_column_by_column(tmp_path: Path) -> None:
    inputs, labels = rows()
    flat = inputs.reshape(len(inputs), -1)
    flat[:, 5] = 0.25
    found = measured(tmp_path, evaluation=(flat, labels))
    assert rules(found) == {"data.constant_column.x5": Severity.LOW}


def test_items_of_another_shape_than_the_model_takes(tmp_path: Path) -> None:
    found = measured(tmp_path, evaluation=rows(), shape=(3, 4, 4))
    assert rules(found) == {"data.shape": Severity.HIGH}


def test_what_intake_saw_in_the_data_is_told_again(tmp_path: Path) -> None:
    odd = Observation(rule="data.undecodable", severity=Severity.HIGH, detail="training: broken")
    apart = Observation(rule="provenance.manifest.other", severity=Severity.HIGH, detail="apart")
    found = measured(tmp_path, evaluation=rows(), observations=(odd, apart))
    assert rules(found) == {"data.undecodable": Severity.HIGH}
    assert "nothing was validated there" in found.limits[0]


def test_without_evaluation_data_nothing_can_be_said(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no evaluation data"):
        measured(tmp_path, training=rows())


def test_regression_has_no_classes(tmp_path: Path) -> None:
    inputs, labels = rows()
    floats = labels.astype(np.float32) + 0.5
    found = measured(
        tmp_path, evaluation=(inputs, floats), task="regression", output={"kind": "value"}
    )
    assert found.observations == ()
    assert outcome(found) is Outcome.PASS


@pytest.mark.parametrize("n", [1, 2])
def test_tiny_sets_are_measured_too(n: int, tmp_path: Path) -> None:
    found = measured(tmp_path, evaluation=rows(n))
    assert "data.rows" in rules(found)


def test_bytes_without_a_stated_range_run_to_255(tmp_path: Path) -> None:
    inputs, labels = rows()
    spec = InputSpec(shape=(1, 4, 4), dtype="uint8")
    found = measured(tmp_path, evaluation=((inputs * 255).round(), labels), input=spec)
    assert found.observations == ()
