import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from tasks.checks.lab import Lab
from tasks.domain.bundle import Claims
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.recipe import TrainingRecipe
from tasks.response.private_retraining import curve, declared, keep, lay_out, retrain
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.checks.privacy.people import model, people

RECIPE = TrainingRecipe(optimizer="sgd", learning_rate=0.5, epochs=4, batch_size=50)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


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
    claim = declared(trained[0], RECIPE)
    assert claim["claims"]["dp_epsilon"] >= private["epsilon"]
    assert claim["training"]["privacy"]["steps"] == 24
    files = lay_out(document, store.get, tmp_path / "out")
    assert sorted(file.suffix for file in files) == [
        ".json", ".json", ".png", ".safetensors", ".safetensors",
    ]  # fmt: skip
    weights = safetensors.numpy.load(store.get(Digest(document["models"][0]["weights"])))
    assert all(np.isfinite(part).all() for part in weights.values())
    assert json.loads(files[0].read_text())["models"] == document["models"]


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
