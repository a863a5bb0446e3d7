"""Each question about drift: what it must find, what it must leave alone, what it cannot know."""

from pathlib import Path

import numpy as np
import pytest

from tasks.checks.lab import NotAvailable
from tasks.domain.finding import Outcome
from tasks.sandbox.protocol import Array
from tests.tasks.checks.drift.comparisons import Table, asked

ROWS = 12_000
SCORED = {"labels": "y", "predictions": ("p",)}


def scored(
    seed: int, rows: int = ROWS, *, hard: float = 0.0, flip: float = 0.0
) -> dict[str, Array]:
    """Draws rows of a calibrated model; ``hard`` makes it unsure, ``flip`` turns the rule."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 2.5 * (1 - hard), rows)
    p = 1 / (1 + np.exp(-x))
    y = (rng.random(rows) < p).astype(np.int64)
    turned = rng.random(rows) < flip
    return {"x": x, "p": p, "y": np.where(turned, 1 - y, y)}


def dependent(seed: int, rows: int, sign: float) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    return {"a": a, "b": sign * 0.9 * a + np.sqrt(1 - 0.81) * rng.normal(size=rows)}


def without(table: Table, *names: str) -> dict[str, Array]:
    return {name: column for name, column in table.items() if name not in names}


def test_a_changed_dependence_shows_only_to_the_classifier(tmp_path: Path) -> None:
    before, now = dependent(1, ROWS, 1), dependent(2, ROWS, -1)
    _, columns = asked("drift.features", tmp_path, before, now)
    measured, together = asked("drift.multivariate", tmp_path, before, now)
    assert columns.outcome is Outcome.PASS
    assert together.outcome is Outcome.FAIL
    assert all(control.held for control in measured.controls)
    _, same = asked("drift.multivariate", tmp_path, before, dependent(3, ROWS, 1))
    assert same.outcome is Outcome.PASS


def test_unsure_answers_are_a_drift_of_outputs(tmp_path: Path) -> None:
    before = scored(1)
    _, same = asked("drift.predictions", tmp_path, before, scored(2), **SCORED)
    measured, unsure = asked("drift.predictions", tmp_path, before, scored(3, hard=0.5), **SCORED)
    assert (same.outcome, unsure.outcome) == (Outcome.PASS, Outcome.FAIL)
    assert "model: confidence" in measured.detail
    assert all(control.held for control in measured.controls)


def test_without_predictions_there_is_no_answer(tmp_path: Path) -> None:
    table = without(scored(1), "p", "y")
    for check in ("drift.predictions", "drift.concept", "drift.performance"):
        with pytest.raises(NotAvailable):
            asked(check, tmp_path, table, table)


def test_the_concept_is_seen_with_labels_only(tmp_path: Path) -> None:
    before, turned = scored(1), scored(2, flip=0.15)
    measured, concept = asked("drift.concept", tmp_path, before, turned, **SCORED)
    assert concept.outcome is Outcome.FAIL
    assert measured.estimates["risk_increase"].value == pytest.approx(0.09, abs=0.03)
    assert all(control.held for control in measured.controls)
    # The negative control of every estimate without labels: it cannot see a turned rule.
    for blind in ("drift.features", "drift.predictions", "drift.performance"):
        _, finding = asked(blind, tmp_path, before, without(turned, "y"), **SCORED)
        assert finding.outcome is Outcome.PASS, blind
    _, same = asked("drift.concept", tmp_path, before, scored(3), **SCORED)
    assert same.outcome is Outcome.PASS


def test_a_few_labels_leave_the_concept_undecided(tmp_path: Path) -> None:
    before, now = scored(1), scored(2)
    some = now | {"y": np.where(np.arange(ROWS) < 150, now["y"], np.nan)}
    _, finding = asked("drift.concept", tmp_path, before, some, **SCORED)
    assert finding.outcome is Outcome.UNDECIDED


@pytest.mark.parametrize("hard", [0.0, 0.3, 0.6])
def test_accuracy_without_labels_is_what_labels_would_say(tmp_path: Path, hard: float) -> None:
    before, now = scored(1), scored(2, hard=hard)
    measured, finding = asked("drift.performance", tmp_path, before, without(now, "y"), **SCORED)
    truly = float(((now["p"] >= 0.5) == now["y"]).mean())
    before_truly = float(((before["p"] >= 0.5) == before["y"]).mean())
    drop = measured.estimates["accuracy_drop"]
    assert before_truly - drop.value == pytest.approx(truly, abs=0.015)
    assert finding.outcome is (Outcome.PASS if hard == 0 else Outcome.FAIL)
    assert all(control.held for control in measured.controls)


def mixed(seed: int, *, rare: float) -> dict[str, Array]:
    """Draws rows of a model that is far surer than it may be where ``place`` is positive."""
    rng = np.random.default_rng(seed)
    is_rare = rng.random(ROWS) < rare
    x = rng.normal(0, 1.5, ROWS)
    y = rng.random(ROWS) < 1 / (1 + np.exp(-np.where(is_rare, 0.5 * x, 2 * x)))
    place = np.where(is_rare, 1.0, -1.0) * rng.gamma(4, 0.25, ROWS)
    return {"place": place, "x": x, "p": 1 / (1 + np.exp(-2 * x)), "y": y.astype(np.int64)}


def test_a_model_too_sure_of_what_was_rare_is_doubted(tmp_path: Path) -> None:
    before, now = mixed(1, rare=0.2), mixed(2, rare=0.8)
    measured, finding = asked("drift.performance", tmp_path, before, without(now, "y"), **SCORED)
    accuracy = [float(((table["p"] >= 0.5) == table["y"]).mean()) for table in (before, now)]
    moved = measured.estimates["accuracy_drop_of_moved_inputs"]
    assert measured.estimates["accuracy_drop"].value == pytest.approx(0, abs=0.02), "blind to it"
    assert moved.low < accuracy[0] - accuracy[1] < moved.high
    assert finding.outcome is Outcome.UNDECIDED
    assert "right less often than its confidence says" in measured.alarms[-1]
    same, finding = asked("drift.performance", tmp_path, before, mixed(3, rare=0.2), **SCORED)
    assert (finding.outcome, same.alarms) == (Outcome.PASS, ())


def test_a_model_without_confidence_has_no_estimate(tmp_path: Path) -> None:
    before = scored(1)
    classes = before | {"p": (before["p"] >= 0.5).astype(np.int64)}
    with pytest.raises(NotAvailable, match="probabilities or scores"):
        asked("drift.performance", tmp_path, classes, classes, **SCORED)


def test_a_detector_without_power_does_not_reassure(tmp_path: Path) -> None:
    # As many rows now, but a reference so small that no planted shift clears its band.
    before, now = scored(1, rows=150), scored(2)
    measured, finding = asked("drift.features", tmp_path, before, now, **SCORED)
    assert finding.outcome is not Outcome.PASS
    assert not any(control.held for control in measured.controls if control.planted)


def test_text_where_numbers_were_is_noted_and_fails(tmp_path: Path) -> None:
    before = scored(1)
    now = without(scored(2), "x") | {"x": np.array(["broken"] * ROWS)}
    measured, finding = asked("drift.features", tmp_path, before, now, **SCORED)
    assert finding.outcome is Outcome.FAIL
    assert any("holds text" in seen.detail for seen in measured.observations)
