"""What a defence is worth: real gains, masking that is called masking, and files that are kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tasks.catalog.reading import Catalog
from tasks.checks.evasion.defences import Arm, chosen, gain, measure
from tasks.checks.evasion.defended import DEFENCES, measure_arm
from tasks.checks.lab import Lab, NotAvailable
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tasks.response.compared import lay_out
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.targets.models import digits, trained, write_model

LIGHT: dict[str, Any] = {
    "epsilon": 0.12, "points": 40, "least_points": 40, "steps": 20, "square_queries": 20,
    "rows": 1000, "epochs": 8, "votes": 50,
}  # fmt: skip


def bench(folder: Path, store: MemoryStore | None = None, **parameters: Any) -> Lab:
    (folder / "model").mkdir()
    write_model(folder / "model", trained())
    files = {path.name: path.read_bytes() for path in sorted((folder / "model").iterdir())}
    return lab(
        "evasion.defences",
        folder,
        evaluation=(digits().test.inputs[:200], digits().test.labels[:200]),
        training=(digits().train.inputs, digits().train.labels),
        files=files,
        classes=10,
        store=store,
        parameters=LIGHT | parameters,
        architecture="layers.yaml",
    )


def measured(folder: Path, store: MemoryStore, names: str, **parameters: Any) -> Measurement:
    with bench(folder, store, defences=names, **parameters) as made:
        return measure(made)


def table(found: Measurement, store: MemoryStore) -> dict[str, dict[str, Any]]:
    kept = next(each for each in found.artifacts if each.name == "defences.json")
    return {row["defence"]: row for row in json.loads(store.get(kept.digest))["defences"]}


def test_training_helps_and_its_model_is_the_one_that_was_attacked(tmp_path: Path) -> None:
    store = MemoryStore()
    found = measured(tmp_path, store, "adversarial_training")
    rows = table(found, store)
    after, before = rows["adversarial_training"], rows["none"]
    assert after["robust_accuracy"]["value"] > before["robust_accuracy"]["value"] + 0.1
    assert after["clean_accuracy"]["value"] > 0.85
    assert [control.name for control in found.controls if not control.held] == []
    assert after["curve"][0]["epsilon"] == 0
    finding = judge(Catalog().check("evasion.defences"), found)
    files = lay_out(found, finding, store.get, tmp_path / "out")
    assert {file.name for file in files} == {
        "defences.json", "curve.png", "adversarial_training.safetensors",
    }  # fmt: skip
    weights = safetensors.numpy.load_file(tmp_path / "out" / "adversarial_training.safetensors")
    delivered = safetensors.numpy.load_file(tmp_path / "model" / "model.safetensors")
    assert {name: array.shape for name, array in weights.items()} == {
        name: array.shape for name, array in delivered.items()
    }
    # The kept file, put in the bundle's place, stands as often as the check said.
    data = (tmp_path / "out" / "adversarial_training.safetensors").read_bytes()
    with bench_of_file(tmp_path / "again", data) as made:
        bare = measure_arm(made, "none")
    assert float(bare.arrays["clean"].mean()) == after["clean_accuracy"]["value"]
    assert float(bare.arrays["standing"].mean()) == pytest.approx(
        after["robust_accuracy"]["value"], abs=0.051
    )


def bench_of_file(folder: Path, data: bytes) -> Lab:
    folder.mkdir()
    made = bench(folder)
    return made.beside(artifact=("model.safetensors", data))


@pytest.mark.parametrize("name", ["feature_squeezing", "random_resize_pad"])
def test_a_defence_never_looks_better_to_who_knows_of_it(tmp_path: Path, name: str) -> None:
    store = MemoryStore()
    found = measured(tmp_path, store, name, points=10, least_points=10, steps=6)
    row = table(found, store)[name]
    assert row["robust_accuracy"]["value"] <= row["unaware_accuracy"]["value"]
    assert row["fell_to"]["unaware"] > 0
    assert row["model"] is None


def test_smoothing_comes_with_a_certificate(tmp_path: Path) -> None:
    store = MemoryStore()
    few = {"points": 10, "least_points": 10, "steps": 4, "square_queries": 10, "sigma": 0.25}
    found = measured(tmp_path, store, "randomised_smoothing", **few)
    certified = table(found, store)["randomised_smoothing"]["certified"]
    assert certified["l2_radius"] == pytest.approx(0.12)
    assert 0 <= certified["low"] <= certified["value"] <= 1
    assert certified["n"] == 10


def test_what_cannot_be_put_up_is_told_and_the_rest_compared(tmp_path: Path) -> None:
    rows = digits().train.inputs.reshape(1000, 64), digits().train.labels
    wide = np.random.default_rng(0).normal(size=(10, 64)).astype(np.float32)
    files = {
        "model.safetensors": safetensors.numpy.save({"0.weight": wide}),
        "layers.yaml": b"layers: [{linear: {in: 64, out: 10, bias: false}}]",
    }
    store = MemoryStore()
    made = lab(
        "evasion.defences", tmp_path, evaluation=rows, training=rows, files=files, classes=10,
        store=store, architecture="layers.yaml",
        parameters=LIGHT | {"defences": "jpeg_compression, adversarial_training", "points": 20},
    )  # fmt: skip
    with made:
        found = measure(made)
    assert any("jpeg_compression was not compared" in limit for limit in found.limits)
    assert set(table(found, store)) == {"none", "adversarial_training"}


def arm(name: str, aware: float, unaware: float, *alarms: str) -> Arm:
    def flags(share: float) -> Any:
        return np.arange(400) % 100 < 100 * share

    return Arm(name, flags(1.0), flags(aware), flags(unaware), {"alarms": list(alarms)})


@pytest.mark.parametrize(
    ("told", "effect"),
    [
        (arm("x", 0.7, 0.9), "protects"),
        (arm("x", 0.2, 0.9), "only masks"),
        (arm("x", 0.2, 0.2), "no gain shown"),
        (arm("x", 0.0, 0.2), "harms"),
        (arm("x", 0.7, 0.9, "masking"), "doubtful"),
    ],
)
def test_effects_are_called_what_they_are(told: Arm, effect: str) -> None:
    found = gain(told, arm("none", 0.2, 0.2), count=3)
    assert found.effect == effect
    assert found.aware.confidence == pytest.approx(1 - 0.05 / 3)


def test_only_points_that_both_saw_are_compared() -> None:
    bare = arm("none", 0.2, 0.2)
    few = bare._replace(aware=bare.aware[:50])
    assert gain(arm("x", 0.7, 0.9), few, count=1).aware.n == 50


def test_unknown_defences_are_not_available(tmp_path: Path) -> None:
    made = bench(tmp_path, defences="adversarial_training, prayer")
    with pytest.raises(NotAvailable, match="no defence prayer; known are"):
        chosen(made)
    assert chosen_of(tmp_path / "all") == DEFENCES


def chosen_of(folder: Path) -> tuple[str, ...]:
    folder.mkdir()
    return chosen(bench(folder, defences=f"{', '.join(DEFENCES)}, {DEFENCES[0]}"))
