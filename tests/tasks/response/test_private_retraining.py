import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tasks.checks.lab import Lab
from tasks.demo.digits import split_digits
from tasks.domain.bundle import Claims
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.recipe import PrivacyRecipe, TrainingRecipe
from tasks.response.private_retraining import (
    PRIVATE,
    curve,
    keep,
    lay_out,
    recipe_of,
    retrain,
)
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.checks.privacy.people import model, people

RECIPE = TrainingRecipe(optimizer="sgd", learning_rate=0.5, epochs=4, batch_size=50)


def bench(tmp_path: Path, store: MemoryStore | None = None, **more: Any) -> Lab:
    training, evaluation = people(300)
    bundle: dict[str, Any] = {
        "training": training,
        "evaluation": evaluation,
        "files": model(300, 1),
        "classes": 2,
        "architecture": "layers.yaml",
        "claims": Claims(),
    }
    made = lab("privacy.membership", tmp_path, store=store, **(bundle | more))
    spec = made.subject.spec.model_copy(update={"training": RECIPE})
    made.subject = made.subject.model_copy(update={"spec": spec})
    return made


def test_models_curve_and_claims_come_out(tmp_path: Path) -> None:
    store = MemoryStore()
    with bench(tmp_path, store) as made:
        trained = retrain(made, epsilons=[4.0], max_gradient_norm=1.0, secure=False)
        document = keep(made, trained)
    private, plain = curve(trained)
    assert private["epsilon"] == pytest.approx(4, abs=0.02)
    assert private["epsilon_rdp"] > private["epsilon"]
    assert plain["epsilon"] is None
    assert plain["accuracy"] > 0.5
    claim = document["models"][0]["bundle"]
    assert claim["claims"]["dp_epsilon"] >= private["epsilon"]
    assert claim["training"]["privacy"]["steps"] == claim["training"]["epochs"] == PRIVATE.epochs
    assert claim["training"]["batch_size"] == 300
    files = lay_out(document, store.get, tmp_path / "out")
    assert sorted(file.suffix for file in files) == [
        ".json", ".json", ".png", ".safetensors", ".safetensors",
    ]  # fmt: skip
    weights = safetensors.numpy.load(store.get(Digest(document["models"][0]["weights"])))
    assert all(np.isfinite(part).all() for part in weights.values())
    assert json.loads(files[0].read_text())["models"] == document["models"]


def test_a_recipe_declared_for_noise_is_kept_and_one_for_none_is_not() -> None:
    noisy = RECIPE.model_copy(
        update={"privacy": PrivacyRecipe(noise_multiplier=1, sample_rate=0.1, steps=40)}
    )
    assert recipe_of(noisy, 4.0, 300) == noisy
    assert recipe_of(RECIPE, 0.0, 300) == RECIPE
    assert recipe_of(RECIPE, 4.0, 300) == recipe_of(None, 4.0, 300)
    assert recipe_of(None, 4.0, 300).batch_size == 300
    assert recipe_of(None, 4.0, 60_000).batch_size < 60_000


def test_a_private_digit_reader_is_useful(tmp_path: Path) -> None:
    training, evaluation = split_digits()
    layers = b"layers: [flatten, {linear: {in: 64, out: 64}}, relu, {linear: {in: 64, out: 10}}]"
    made = lab(
        "privacy.membership",
        tmp_path,
        training=(training.images, training.labels),
        evaluation=(evaluation.images, evaluation.labels),
        files={"model.safetensors": b"not opened", "layers.yaml": layers},
        classes=10,
        architecture="layers.yaml",
    )
    with made:
        private, plain = curve(retrain(made, epsilons=[4.0], max_gradient_norm=1.0, secure=False))
    assert private["accuracy"] > 0.85
    assert plain["accuracy"] > private["accuracy"]


@pytest.mark.parametrize("role", ["training", "evaluation"])
def test_without_data_nothing_can_be_trained(tmp_path: Path, role: str) -> None:
    with bench(tmp_path, **{role: None}) as made, pytest.raises(InvalidInputError, match=role):
        retrain(made, epsilons=[1.0], max_gradient_norm=1.0, secure=False)


def test_a_graph_without_layers_cannot_be_trained(tmp_path: Path) -> None:
    with (
        bench(tmp_path, architecture=None) as made,
        pytest.raises(InvalidInputError, match="layer list"),
    ):
        retrain(made, epsilons=[1.0], max_gradient_norm=1.0, secure=False)
