import numpy as np
import pytest

from tasks.attacks.poisoning.blended import blended
from tasks.attacks.poisoning.tabular_backdoor import tabular_backdoor
from tasks.checks.poisoning.trigger_mining import confirmed
from tasks.detectors.poisoning import trigger_mining as module
from tasks.detectors.poisoning.trigger_mining import trigger_mining, with_plants
from tests.tasks.targets.models import digits

TARGET = 3


def test_an_overlay_is_found_row_by_row_and_gone_without_them() -> None:
    rows, clean = digits()
    made = blended(rows.inputs, rows.labels, target=TARGET, rate=0.05, seed=1)
    arrays, values = trigger_mining(
        inputs=made.inputs, labels=made.labels, most=900, seed=7,
        clean_inputs=clean.inputs, clean_labels=clean.labels,
    )  # fmt: skip
    trigger = values["triggers"][0]
    assert trigger["label"] == TARGET
    assert trigger["effect"] > 0.7
    assert trigger["without"] < 0.1
    assert trigger["random"] > 0.7
    found = arrays["trigger"] == 0
    # A hundred of the rows lie beyond the sample and are known by the stamp alone.
    assert made.rows[found].mean() > 0.9
    assert found[made.rows].mean() > 0.9
    assert (arrays["p_values"][found] < 0.05).all()


def test_columns_are_found_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEEN_TABLE_ROWS", 60_000)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 3000)
    inputs = rng.integers(0, 40, (3000, 8)).astype(np.float32)
    inputs[:, :5] += 12 * labels[:, None]
    trigger = {5: 38.0, 6: 3.0, 7: 17.0}
    made = tabular_backdoor(inputs, labels, target=1, rate=0.02, seed=3, values=trigger)
    arrays, values = trigger_mining(inputs=made.inputs, labels=made.labels, most=3000, seed=7)
    real = [which for which, each in enumerate(values["triggers"]) if confirmed(each)]
    found = np.isin(arrays["trigger"], real)
    assert made.rows[found].mean() > 0.95
    assert found[made.rows].mean() > 0.95


def test_two_triggers_are_planted_on_different_rows() -> None:
    rows = digits().train
    inputs, labels, planted = with_plants(rows.inputs, rows.labels, 0.02, seed=7)
    assert set(planted) == {-1, 0, 1}
    assert (planted == 0).sum() >= 18
    touched = planted >= 0
    np.testing.assert_array_equal(inputs[~touched], rows.inputs[~touched])
    assert len(set(labels[planted == 0])) == len(set(labels[planted == 1])) == 1
