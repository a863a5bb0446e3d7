from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks.attacks.inference.shadow_stack import shadow_stack
from tasks.sandbox.protocol import Array, Reply

RECIPE = {
    "optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.0, "epochs": 40, "batch_size": 10,
}  # fmt: skip
MEMBERS = np.zeros((3, 60), dtype=np.bool_)
MEMBERS[0, :30] = MEMBERS[1, 30:] = MEMBERS[2, :15] = True
PICTURES = [
    {"conv2d": {"in": 1, "out": 4, "kernel": 3, "padding": 1}},
    {"batch_norm2d": {"features": 4}},
    "relu",
    {
        "residual": {
            "layers": [{"conv2d": {"in": 4, "out": 4, "kernel": 1}}, {"dropout": {"p": 0.1}}]
        }
    },
    "flatten",
    {"linear": {"in": 144, "out": 4}},
]


def trained(members: Array = MEMBERS, **more: Any) -> Reply:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(60, 1, 6, 6)).astype(np.float32)
    given = {"inputs": inputs, "labels": rng.integers(0, 4, 60), "classes": 4}
    return shadow_stack(**{**given, "members": members, "recipe": RECIPE, "seed": 0, **more})


def layers(tmp_path: Path, entries: list[Any]) -> str:
    file = tmp_path / "layers.yaml"
    file.write_text(yaml.safe_dump({"layers": entries}))
    return str(file)


def surer_of_own(reply: Reply, members: Array = MEMBERS) -> None:
    sure = reply.arrays["confidence"][:, 0]
    for model, own in enumerate(members):
        assert np.median(sure[model, own]) > np.median(sure[model, ~own]) + 2
    assert (reply.arrays["log_probability"] <= 0).all()


def test_each_model_knows_its_own_items_and_no_others() -> None:
    reply = trained()
    surer_of_own(reply)
    assert "stand-in" in reply.values["architecture"]


def test_the_bundles_layers_are_trained_with_norms_branches_and_dropout(tmp_path: Path) -> None:
    reply = trained(architecture=layers(tmp_path, PICTURES))
    surer_of_own(reply)
    assert reply.values["architecture"] == "the bundle's layer list"


def test_groups_that_fit_memory_change_nothing_but_the_draw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.attacks.inference.shadow_stack.VALUES_AT_ONCE", 1)
    surer_of_own(trained())


@pytest.mark.parametrize("entries", [[{"eval": {"code": "1"}}], [{"linear": {"in": 7, "out": 4}}]])
def test_a_layer_list_that_does_not_fit_gets_the_stand_in(
    tmp_path: Path, entries: list[Any]
) -> None:
    reply = trained(architecture=layers(tmp_path, entries))
    assert reply.values["architecture"].startswith("stand-in perceptron: the layer list")


def test_a_network_that_costs_too_much_gets_the_stand_in(tmp_path: Path) -> None:
    wide = [{"conv2d": {"in": 1, "out": 4096, "kernel": 5, "padding": 2}}, {"conv2d": {
        "in": 4096, "out": 4096, "kernel": 3, "padding": 1}}, "flatten",
        {"linear": {"in": 147456, "out": 4}}]  # fmt: skip
    reply = trained(architecture=layers(tmp_path, wide))
    assert "would cost" in reply.values["architecture"]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_equal_seeds_give_equal_answers(optimizer: str) -> None:
    recipe = RECIPE | {"optimizer": optimizer, "epochs": 2}
    first, again, other = (trained(recipe=recipe, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.arrays["confidence"], again.arrays["confidence"])
    assert not np.array_equal(first.arrays["confidence"], other.arrays["confidence"])


def test_more_looks_leave_the_first_as_it_was() -> None:
    one, three = trained(), trained(looks=3)
    assert three.arrays["confidence"].shape == (3, 3, 60)
    np.testing.assert_array_equal(three.arrays["confidence"][:, 0], one.arrays["confidence"][:, 0])
    assert not np.array_equal(three.arrays["confidence"][:, 1], one.arrays["confidence"][:, 0])


def test_pictures_that_training_moved_are_known_from_their_neighbours() -> None:
    plain = trained(looks=5)
    moved = trained(looks=5, recipe=RECIPE | {"augmentation": "shift", "epochs": 160})

    def gap(reply: Reply, look: int) -> float:
        sure = reply.arrays["confidence"][:, look]
        return float(np.median(sure[MEMBERS]) - np.median(sure[~MEMBERS]))

    assert gap(moved, 1) / gap(moved, 0) > 2 * gap(plain, 1) / gap(plain, 0)
