import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tasks.checks.lab import NotAvailable
from tasks.checks.poisoning.spectral_signature import CHECK, measure, tail_p_values
from tasks.domain.digest import Digest
from tasks.domain.measurement import Artifact, Measurement
from tasks.domain.spec import Parameter
from tasks.sandbox.protocol import Array
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.checks.poisoning.poisoned import poisoned
from tests.tasks.targets.models import digits

TARGET = 3


def measured(
    workspace: Path,
    training: tuple[Array, Array],
    store: MemoryStore | None = None,
    seed: int = 7,
    **parameters: Parameter,
) -> Measurement:
    evaluation = digits().test
    with lab(
        CHECK,
        workspace,
        training=training,
        evaluation=(evaluation.inputs, evaluation.labels),
        classes=10,
        seed=seed,
        store=store,
        parameters=parameters,
    ) as bench:
        return measure(bench)


def kept(store: MemoryStore, artifacts: tuple[Artifact, ...], name: str) -> bytes:
    found = next(artifact for artifact in artifacts if artifact.name == name)
    return store.get(Digest(found.digest))


def test_ordinary_digits_hold_no_strange_rows(tmp_path: Path) -> None:
    found = measured(tmp_path, (digits().train.inputs, digits().train.labels))
    assert found.estimates["flagged_fraction"].high < 0.01
    assert not found.alarms
    assert all(control.held for control in found.controls)


def test_badnets_rows_are_counted_listed_and_shown(tmp_path: Path) -> None:
    inputs, labels, chosen = poisoned(*digits().train, part=0.1, target=TARGET)
    store = MemoryStore()
    found = measured(tmp_path, (inputs, labels), store)
    assert found.estimates["flagged_fraction"].low > 0.05
    assert found.facts["suspected_class"] == TARGET
    shown = safetensors.numpy.load(kept(store, found.artifacts, "samples.safetensors"))
    assert shown["inputs"].shape == (8, 1, 8, 8)
    assert (shown["inputs"][:, :, -2:, -2:] == 1).all()
    listed = json.loads(kept(store, found.artifacts, "flagged.json"))
    # One flagged row in twenty may be an honest one: that is what the false discovery rate says.
    assert sum(row["label"] == TARGET for row in listed) >= 0.9 * len(listed)
    # Rows are named by their place in the data, not in the sample that was looked at.
    named = {row["row"] for row in listed}
    assert len(named & set(chosen.tolist())) >= 0.85 * len(named)
    assert all(labels[row["row"]] == row["label"] for row in listed)
    assert found.facts["flagged_rows"] == pytest.approx(len(chosen), abs=12)


def test_a_detector_that_learns_nothing_and_sees_no_labels_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.detectors.poisoning import spectral_signature as detector  # noqa: PLC0415 - torch

    monkeypatch.setattr(
        detector, "_foreign", lambda rows, *_, **__: np.zeros(len(rows.labels), np.float64)
    )
    monkeypatch.setattr(detector, "_distance", lambda points, *_: np.zeros(len(points), np.float64))
    found = measured(tmp_path, (digits().train.inputs, digits().train.labels), steps=1)
    assert not any(control.held for control in found.controls if control.planted)


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    rows = digits().train.inputs[:300], digits().train.labels[:300]
    first, again, other = (measured(tmp_path, rows, seed=seed, steps=40) for seed in (7, 7, 8))
    assert first.canonical() == again.canonical()
    assert first.canonical() != other.canonical()


def test_without_training_data_the_question_stays_open(tmp_path: Path) -> None:
    evaluation = digits().test
    with (
        lab(
            CHECK, tmp_path, evaluation=(evaluation.inputs, evaluation.labels), classes=10
        ) as bench,
        pytest.raises(NotAvailable, match="no training data"),
    ):
        measure(bench)


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="at least 100"):
        measured(tmp_path, (digits().train.inputs[:50], digits().train.labels[:50]))


def test_p_values_fall_beyond_what_ranks_can_show() -> None:
    null = np.random.default_rng(0).exponential(size=500)
    p_values = tail_p_values(np.array([0.0, np.median(null), 8.0, 20.0]), null)
    assert p_values[0] == 1
    assert p_values[1] == pytest.approx(0.5, abs=0.01)
    assert p_values[2] == pytest.approx(np.exp(-8), rel=1)
    assert p_values[3] < 1e-7
