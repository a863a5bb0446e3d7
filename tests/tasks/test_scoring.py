"""An accepted model answers the rows of a table; nothing else is opened."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import scoring
from tasks.domain.bundle import Subject
from tasks.domain.errors import InvalidInputError
from tasks.registry.place import RegistryPlace
from tasks.registry.registering import Why, register, withdraw
from tasks.registry.serving import UnsignedModelError
from tasks.runtime import Services
from tasks.sandbox.protocol import Array, Limits
from tasks.scoring import accepted_subject, answered, counted_rows, layout_of
from tasks.settings import Settings
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.registry.homes import MODEL, new_home
from tests.tasks.targets.models import digits, trained, write_model

ASSET = f"{MODEL}@1"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    here = Services(Settings(home=tmp_path), made, DirectSandbox(), Limits())
    monkeypatch.setattr(scoring, "services", lambda: here)
    return made


@pytest.fixture
def subject(store: MemoryStore, tmp_path: Path) -> Subject:
    folder = tmp_path / "model"
    folder.mkdir()
    write_model(folder, trained())
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    test = digits().test
    return lab(
        "artifact.scan", tmp_path, evaluation=(test.inputs, test.labels), files=files, classes=10,
        store=store, architecture="layers.yaml",
    ).subject  # fmt: skip


def written(folder: Path, name: str, x: Array, **more: Array) -> tuple[Path, ...]:
    place = folder / f"{name}.npz"
    arrays: Any = {"x": x, **more}
    np.savez(place, **arrays)
    return (place,)


def test_outputs_and_labels_become_columns(subject: Subject, tmp_path: Path) -> None:
    test = digits().test
    rows = answered(written(tmp_path, "now", test.inputs, y=test.labels), subject, labels="y")
    layout = layout_of(rows)
    sketch = counted_rows(rows, layout, seed=1)
    assert layout.reading.kind == "scores"
    assert layout.reading.classes == tuple(str(digit) for digit in range(10))
    assert int(sketch.answered.sum()) == len(test.labels) == sketch.rows
    assert int(sketch.right.sum()) / sketch.rows > 0.9
    names = {column.name for column in layout.columns}
    assert {"x0", "score 9", "label", "model: class", "model: confidence"} <= names


def test_noise_shows_in_confidence_and_risk(subject: Subject, tmp_path: Path) -> None:
    test = digits().test
    noise = np.random.default_rng(1).normal(0, 0.5, test.inputs.shape)
    noisy = np.clip(test.inputs + noise, 0, 1).astype(np.float32)
    before = answered(written(tmp_path, "a", test.inputs, y=test.labels), subject, labels="y")
    after = answered(written(tmp_path, "b", noisy, y=test.labels), subject, labels="y")
    layout = layout_of(before)
    one, two = (counted_rows(rows, layout, seed=1) for rows in (before, after))
    assert int(two.right.sum()) < 0.9 * int(one.right.sum())


def test_rows_without_labels_can_be_answered(subject: Subject, tmp_path: Path) -> None:
    [(_, batch)] = answered(written(tmp_path, "now", digits().test.inputs), subject, labels="y")
    assert "label" not in batch
    assert "score 0" in batch


def test_rows_of_another_shape_are_explained(subject: Subject, tmp_path: Path) -> None:
    wrong = np.zeros((50, 30), dtype=np.float32)
    with pytest.raises(InvalidInputError, match=r"has 30 columns besides.*takes 64 numbers"):
        answered(written(tmp_path, "wrong", wrong), subject, labels=None)
    holes = np.full((50, 64), np.nan, dtype=np.float32)
    with pytest.raises(InvalidInputError, match="missing or infinite"):
        answered(written(tmp_path, "holes", holes), subject, labels=None)


def test_only_a_registered_model_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = new_home(tmp_path)
    monkeypatch.setattr(RegistryPlace, "here", lambda: home.registry)
    here = Services(Settings(home=home.path), home.store, DirectSandbox(), Limits())
    monkeypatch.setattr(scoring, "services", lambda: here)
    with pytest.raises(UnsignedModelError, match="not registered"):
        accepted_subject(ASSET)
    register(home.seal().run, home.registry, Why("a test", by="tester"))
    assert accepted_subject(ASSET).spec.asset == ASSET
    assert accepted_subject(f"{MODEL}@candidate").spec.asset == ASSET
    withdraw(ASSET, home.registry, Why("a test", by="tester"))
    with pytest.raises(UnsignedModelError, match="withdrawn"):
        accepted_subject(ASSET)
