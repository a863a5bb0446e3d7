"""The robustness check as a whole: numbers, witnesses, alarms, and what it refuses."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
import yaml
from numpy.typing import NDArray

from tasks.checks.evasion.cascade import Budget, Cascade, answers, fitting
from tasks.checks.evasion.linf_robust_accuracy import measure
from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.bundle import InputSpec
from tasks.domain.measurement import Measurement
from tasks.sandbox.protocol import Reply
from tests.tasks.targets.models import (
    description,
    digits,
    lab_for,
    network,
    trained,
    write_model,
)

CHECK = "evasion.linf_robust_accuracy"
SMALL = {"epsilon": 0.1, "points": 60, "steps": 20, "square_queries": 200}


def bench(folder: Path, layers: list[Any] | None = None, **settings: Any) -> Lab:
    model: dict[str, Any] = {"model": description(), "evaluation": digits().test}
    parameters = SMALL | settings.pop("parameters", {})
    return lab_for(folder, CHECK, parameters=parameters, **(model | settings))


def stored(lab: Lab, measurement: Measurement, name: str) -> bytes:
    (artifact,) = (each for each in measurement.artifacts if each.name == name)
    data: bytes = lab._store.get(artifact.digest)
    return data


def test_measures_and_verifies(tmp_path: Path) -> None:
    write_model(tmp_path, trained(adversarial_epsilon=0.1))
    lab = bench(tmp_path)
    found = measure(lab)
    robust, clean = found.estimates["robust_accuracy"], found.estimates["clean_accuracy"]
    assert robust.n == clean.n == 50
    assert 0.3 < robust.value < clean.value
    assert all(control.held for control in found.controls)
    assert found.cost.passes > 1000
    witnesses = safetensors.numpy.load(stored(lab, found, "witnesses.safetensors"))
    assert np.abs(witnesses["adversarial"] - witnesses["clean"]).max() <= 0.1 + 1e-6
    with torch.no_grad():
        read = trained(adversarial_epsilon=0.1)(torch.from_numpy(witnesses["adversarial"]))
    np.testing.assert_array_equal(read.argmax(1).numpy(), witnesses["predicted"])
    assert (witnesses["predicted"] != witnesses["labels"]).all()
    curve = json.loads(stored(lab, found, "curve.json"))
    heights = [point["robust_accuracy"] for point in curve]
    assert [point["epsilon"] for point in curve] == [0.0, 0.025, 0.05, 0.1, 0.2]
    assert heights == sorted(heights, reverse=True)


def test_a_hidden_gradient_raises_alarms(tmp_path: Path) -> None:
    """Planted: scores so large that cross-entropy has no slope left, behind rounded inputs."""
    masked = network()
    masked.load_state_dict(trained().state_dict())
    with torch.no_grad():
        for weight in list(masked.parameters())[4:]:
            weight.mul_(1e4)
    write_model(tmp_path, masked)
    found = measure(bench(tmp_path, parameters={"epsilon": 0.02}))
    assert any("exactly zero" in alarm for alarm in found.alarms)


def test_a_score_only_model_says_so(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 - slow to import
    from skops import io as skops  # noqa: PLC0415

    rows = digits().train.inputs.reshape(1000, -1)
    forest = RandomForestClassifier(10, random_state=0).fit(rows, digits().train.labels)
    skops.dump(forest, tmp_path / "m.skops")
    model = description(artifact="m.skops", kind="probabilities")
    found = measure(bench(tmp_path, model=model, parameters={"points": 20, "square_queries": 50}))
    assert found.facts["access"] == "scores"
    assert any("survivors prove little" in limit for limit in found.limits)
    assert found.estimates["robust_accuracy"].value < found.estimates["clean_accuracy"].value


class Liar:
    """A child that claims success with candidates of the test's choosing."""

    def __init__(self, lab: Lab, candidates: NDArray[np.float32]) -> None:
        self.lab, self.candidates, self.seed = lab, candidates, 0

    def run(self, procedure: str, arrays: Any = None, **values: Any) -> Reply:
        if procedure == "attacks.evasion.lie":
            count = len(arrays["inputs"])
            return Reply({"candidates": self.candidates, "found": np.ones(count, bool)}, {})
        return self.lab.run(procedure, arrays, **values)


@pytest.mark.parametrize("lie", ["clean inputs", "too far", "NaN", "wrong shape", "out of range"])
def test_a_lying_attack_breaks_nothing(tmp_path: Path, lie: str) -> None:
    write_model(tmp_path, trained())
    lab = bench(tmp_path)
    lab.target()
    inputs, labels = digits().test.inputs[:5], digits().test.labels[:5]
    scores = answers(lab, inputs)
    candidates = {
        "clean inputs": inputs,
        "too far": 1 - inputs,
        "NaN": inputs * np.float32(np.nan),
        "wrong shape": inputs[:, 0],
        "out of range": inputs - np.float32(0.05),
    }[lie]
    liar: Any = Liar(lab, candidates)
    # Wide enough that a candidate which was only cut back to the ball would break the model.
    cascade = Cascade(liar, Examples(inputs, labels), scores, Budget(0.49, 0, 1, whole=False))
    before = cascade.standing.sum()
    assert cascade.attack("lie", "attacks.evasion.lie").fell == 0
    assert cascade.standing.sum() == before == 5
    assert (cascade.escaped_budget > 0) == (lie != "clean inputs")


def test_whole_number_inputs_stay_whole() -> None:
    budget = Budget(2.5, 0, 255, whole=True)
    clean = np.array([[0.0, 10, 255]], np.float32)
    moved = budget.enforced(clean + np.array([[-1.0, 1.9, -2.4]], np.float32), clean)
    np.testing.assert_array_equal(moved, [[0, 11, 253]])


SPEC = InputSpec(shape=(1, 8, 8))
UNFIT = {
    "another shape": Examples(np.zeros((3, 9, 9), np.float32), np.zeros(3, np.int64)),
    "another range": Examples(np.full((3, 8, 8), 16, np.float32), np.zeros(3, np.int64)),
    "another class": Examples(np.zeros((3, 8, 8), np.float32), np.array([0, 1, 10])),
    "no rows": Examples(np.zeros((0, 8, 8), np.float32), np.zeros(0, np.int64)),
}


@pytest.mark.parametrize("examples", UNFIT.values(), ids=UNFIT.keys())
def test_data_of_another_model_is_not_available(examples: Examples) -> None:
    with pytest.raises(NotAvailable):
        fitting(examples, SPEC, 10)


def test_a_missing_channel_axis_is_added() -> None:
    examples = Examples(np.zeros((3, 8, 8), np.float32), np.zeros(3, np.int64))
    assert fitting(examples, SPEC, 10).inputs.shape == (3, 1, 8, 8)


SMALL_NET = [
    {"conv2d": {"in": 1, "out": 16, "kernel": 4, "stride": 2, "padding": 1}},
    "relu",
    {"conv2d": {"in": 16, "out": 32, "kernel": 4, "stride": 2, "padding": 1}},
    "relu",
    "flatten",
    {"linear": {"in": 1568, "out": 100}},
    "relu",
    {"linear": {"in": 100, "out": 10}},
]


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "epsilon"),
    [("mnist_certified_eps03_clean", 0.3), ("mnist_certified_eps01_clean", 0.1)],
)
def test_agrees_with_the_reference_on_real_models(
    tmp_path: Path, name: str, epsilon: float
) -> None:
    """Oracle: verdicts of the AutoAttack reference, standard version, point by point."""
    folder = os.environ.get("PROOFHOUSE_TEST_DATA")
    if not folder:
        pytest.skip("set PROOFHOUSE_TEST_DATA to the folder of the development data")
    data = Path(folder)
    shutil.copy(data / "models" / f"{name}.safetensors", tmp_path / "model.safetensors")
    (tmp_path / "layers.yaml").write_text(yaml.safe_dump({"layers": SMALL_NET}))
    with np.load(data / "mnist.npz") as mnist, np.load(data / "autoattack_reference.npz") as ref:
        inputs = (mnist["x_test"][:100, None] / 255).astype(np.float32)
        labels = mnist["y_test"][:100].astype(np.int64)
        expected = ref[f"{name}__robust"][:100]
    lab = lab_for(
        tmp_path,
        CHECK,
        model=description(shape=(1, 28, 28)),
        evaluation=Examples(inputs, labels),
        parameters={"epsilon": epsilon, "points": 100, "settle_at": float(expected.mean())},
    )
    measured = measure(lab).estimates["robust_accuracy"].value
    assert abs(measured - expected.mean()) <= 0.02
