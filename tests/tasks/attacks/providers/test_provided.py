"""One attack of each toolbox on our target, and every way in which an order can be refused."""

import importlib
import importlib.util
from typing import Any

import numpy as np
import pytest

from tasks.attacks.providers.provided import PROVIDERS, provided
from tasks.targets.protocol import predicted
from tests.tasks.attacks.evasion.victims import correct, victim

ORDERS: dict[str, dict[str, Any]] = {
    "art:ProjectedGradientDescent": {"max_iter": 10},
    "art:HopSkipJump": {"max_iter": 2, "max_eval": 200, "init_eval": 20, "norm": "inf"},
    "foolbox:LinfPGD": {"steps": 60},
    "torchattacks:PGD": {"steps": 10},
    "cleverhans:projected_gradient_descent": {"nb_iter": 10},
}
WHITE_BOX = [name for name in ORDERS if "Hop" not in name]


@pytest.mark.filterwarnings("ignore")  # other people's code, and none of it is ours to mend
@pytest.mark.parametrize("attack", ORDERS)
def test_one_attack_of_each_toolbox_bites(attack: str) -> None:
    toolbox = attack.partition(":")[0]
    if importlib.util.find_spec(toolbox) is None:
        pytest.skip(f"{toolbox} is not installed")
    target = victim()
    inputs, labels = correct(target, 12)
    before = target.meter.passes
    reply = provided(
        target, inputs=inputs, labels=labels, attack=attack, settings=ORDERS[attack], epsilon=0.15
    )
    moved = reply.arrays["candidates"]
    assert moved.dtype == np.float32
    assert moved.shape == inputs.shape
    np.testing.assert_array_equal(predicted(target, moved) != labels, reply.arrays["found"])
    assert reply.arrays["found"].mean() > 0.5
    assert 0 < reply.values["passes"] <= target.meter.passes - before
    assert reply.values["version"] != "unknown" or toolbox != "art"
    if attack in WHITE_BOX:
        assert np.abs(moved - inputs).max() <= 0.15 + 1e-5


REFUSALS = {
    "no such attack": ("art:HopSkipJumps", {}, "has no attack HopSkipJumps"),
    "no such setting": ("art:ProjectedGradientDescent", {"steps": 3}, "has no setting steps"),
    "bad value": ("art:ProjectedGradientDescent", {"max_iter": -3}, "ValueError"),
    "no such toolbox": ("pickle:loads", {}, "no toolbox pickle"),
    "a module, not an attack": ("art:math", {}, "has no attack math"),
    "a base class": ("foolbox:os", {}, "has no attack os"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("attack", "settings", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_run_is_refused_with_a_reason(
    attack: str, settings: dict[str, Any], reason: str
) -> None:
    if attack.startswith("foolbox") and importlib.util.find_spec("foolbox") is None:
        pytest.skip("foolbox is not installed")
    target = victim()
    inputs, labels = correct(target, 2)
    reply = provided(
        target, inputs=inputs, labels=labels, attack=attack, settings=settings, epsilon=0.1
    )
    assert reason in reply.values["refused"]
    np.testing.assert_array_equal(reply.arrays["candidates"], inputs)


@pytest.mark.parametrize("toolbox", PROVIDERS)
def test_a_missing_toolbox_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, toolbox: str
) -> None:
    real = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name.partition(".")[0] == toolbox:
            raise ModuleNotFoundError(f"No module named {toolbox!r}", name=toolbox)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    target = victim()
    inputs, labels = correct(target, 2)
    reply = provided(
        target, inputs=inputs, labels=labels, attack=f"{toolbox}:X", settings={}, epsilon=0.1
    )
    assert f"{toolbox} is not installed: pip install" in reply.values["missing"]


@pytest.mark.filterwarnings("ignore")
def test_scores_alone_are_enough_for_attacks_that_need_no_gradients() -> None:
    target = victim()
    target.module = None
    inputs, labels = correct(target, 4)
    settings = {"max_iter": 1, "max_eval": 50, "init_eval": 10}
    common: dict[str, Any] = {"inputs": inputs, "labels": labels, "epsilon": 0.1}
    reply = provided(target, attack="art:HopSkipJump", settings=settings, **common)
    assert reply.arrays["found"].any()
    refused = provided(target, attack="art:ProjectedGradientDescent", settings={}, **common)
    assert "needs gradients" in refused.values["refused"]


def test_no_points_are_no_work() -> None:
    target = victim()
    inputs, labels = correct(target, 1)
    reply = provided(
        target, inputs=inputs[:0], labels=labels[:0], attack="art:FastGradientMethod", settings={},
        epsilon=0.1,
    )  # fmt: skip
    assert reply.values["passes"] == 0
