from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets import private_training as module
from tasks.targets.private_training import _secure_normal, private_training

RECIPE = {
    "optimizer": "sgd", "learning_rate": 0.5, "weight_decay": 0.0, "epochs": 5, "batch_size": 40,
}  # fmt: skip
LAYERS = [{"linear": {"in": 6, "out": 8}}, "relu", {"linear": {"in": 8, "out": 2}}]


def trained(tmp_path: Path, **more: Any) -> Reply:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(800, 6)).astype(np.float32)
    labels = (inputs[:, 0] + inputs[:, 1] > 0).astype(np.int64)
    layers = more.pop(
        "layers", [{"linear": {"in": 6, "out": 8}}, "relu", {"linear": {"in": 8, "out": 2}}]
    )
    place = tmp_path / "layers.yaml"
    place.write_text(yaml.safe_dump({"layers": layers}))
    given: dict[str, Any] = {
        "inputs": inputs[:400], "labels": labels[:400], "test_inputs": inputs[400:],
        "test_labels": labels[400:], "architecture": str(place), "classes": 2, "epsilon": 8.0,
        "delta": 1e-5, "recipe": RECIPE, "max_gradient_norm": 1.0, "seed": 0,
    }  # fmt: skip
    return private_training(**given | more)


def accuracy(reply: Reply) -> float:
    return float(reply.values["right"] / reply.values["tests"])


def test_a_generous_budget_learns_and_a_tight_one_learns_less(tmp_path: Path) -> None:
    plain, generous, tight = (trained(tmp_path, epsilon=budget) for budget in (0.0, 8.0, 0.05))
    assert accuracy(plain) > 0.93
    assert accuracy(generous) > 0.85
    assert accuracy(tight) < accuracy(generous)
    assert plain.values["prv"] is None
    assert generous.values["prv"] == pytest.approx(8, abs=0.02)
    assert generous.values["rdp"] > generous.values["prv"]
    assert tight.values["noise_multiplier"] > generous.values["noise_multiplier"] > 0
    assert set(generous.arrays) == {"0.weight", "0.bias", "2.weight", "2.bias"}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_ghost_clipping_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    recipe = RECIPE | {"optimizer": optimizer, "learning_rate": 0.3 if optimizer == "sgd" else 0.02}
    whole = trained(tmp_path, recipe=recipe)
    monkeypatch.setattr(module, "GHOST_FROM", 1)
    ghost = trained(tmp_path, recipe=recipe)
    assert (whole.values["ghost"], ghost.values["ghost"]) == (False, True)
    for name, weights in whole.arrays.items():
        np.testing.assert_allclose(ghost.arrays[name], weights, atol=2e-2)


def test_equal_seeds_give_equal_models_and_secure_noise_does_not(tmp_path: Path) -> None:
    first, again = (trained(tmp_path).arrays["0.weight"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    secure, other = (trained(tmp_path, secure=True).arrays["0.weight"] for _ in range(2))
    assert not np.array_equal(secure, other)


def test_secure_noise_is_normal() -> None:
    drawn = _secure_normal((40_000,)).numpy()
    assert stats.kstest(drawn, "norm").pvalue > 1e-4


def test_empty_batches_are_noise_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE | {"batch_size": 1, "epochs": 1}
    for ghost in (10**9, 1):
        monkeypatch.setattr(module, "GHOST_FROM", ghost)
        assert np.isfinite(trained(tmp_path, recipe=recipe).arrays["0.weight"]).all()


def test_batch_norm_is_refused_with_the_remedy(tmp_path: Path) -> None:
    layers = [{"batch_norm1d": {"features": 6}}, {"linear": {"in": 6, "out": 2}}]
    with pytest.raises(TargetError, match="Use layer_norm"):
        trained(tmp_path, layers=layers)
