"""Defences before and after: training helps, filters help only against who does not know them."""

from typing import Any

import numpy as np
import pytest
import torch

from tasks.attacks.defences.adversarial_training import Recipe, hardened
from tasks.attacks.defences.compared import ARMS, compared
from tasks.attacks.defences.preprocessing import FILTERS, Filtered
from tasks.domain.errors import TargetError
from tests.tasks.attacks.evasion.victims import victim
from tests.tasks.targets.models import digits

EPSILON = 0.12


def outcome(arm: str, **settings: Any) -> tuple[float, float, float]:
    """Clean accuracy, robust accuracy, and robust accuracy against who does not know."""
    inputs, labels = digits().test.inputs[:40], digits().test.labels[:40]
    reply = compared(
        victim(), inputs=inputs, labels=labels, pool=digits().train.inputs,
        pool_labels=digits().train.labels, arm=arm, epsilon=EPSILON, steps=20, queries=50,
        **settings,
    )  # fmt: skip
    assert np.abs(reply.arrays["candidates"] - inputs).max() <= EPSILON + 1e-6
    right = reply.arrays["clean"] == labels
    return (
        float(right.mean()),
        float((right & (reply.arrays["moved"] == labels)).mean()),
        float((right & (reply.arrays["unaware"] == labels)).mean()),
    )


def test_training_helps_even_against_who_knows() -> None:
    bare, trained = outcome("none"), outcome("adversarial_training", epochs=8)
    assert trained[1] > bare[1] + 0.1
    assert trained[0] > 0.85


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_never_looks_better_to_who_knows(name: str) -> None:
    _, aware, unaware = outcome(name)
    assert aware <= unaware


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_has_the_slope_of_the_model_behind_it(name: str) -> None:
    target = victim()
    filtered = Filtered(target, name)
    raw = torch.from_numpy(digits().test.inputs[:5]).requires_grad_()
    (slope,) = torch.autograd.grad(filtered(raw).sum(), raw)
    seen = torch.from_numpy(filtered.seen(raw.detach().numpy())).requires_grad_()
    assert target.module is not None
    (behind,) = torch.autograd.grad(target.module(seen).sum(), seen)
    torch.testing.assert_close(slope, behind)


def test_the_delivered_model_is_left_as_it_was() -> None:
    target = victim()
    inputs = digits().test.inputs[:20]
    before = target.scores(inputs)
    recipe = Recipe(epsilon=EPSILON, epochs=1)
    copy = hardened(target, digits().train.inputs[:200], digits().train.labels[:200], recipe)
    np.testing.assert_array_equal(target.scores(inputs), before)
    with torch.no_grad():
        assert not torch.allclose(copy(torch.from_numpy(inputs)), torch.from_numpy(before))


def test_equal_seeds_train_equal_copies() -> None:
    recipe = Recipe(epsilon=EPSILON, epochs=1, seed=4)
    rows = digits().train.inputs[:200], digits().train.labels[:200]
    first, again = (hardened(victim(), *rows, recipe) for _ in range(2))
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_what_cannot_be_put_up_says_why() -> None:
    common: dict[str, Any] = {
        "inputs": digits().test.inputs[:2], "labels": digits().test.labels[:2],
        "pool": digits().train.inputs[:50], "pool_labels": digits().train.labels[:50],
        "epsilon": EPSILON,
    }  # fmt: skip
    assert "there is no defence" in compared(victim(), arm="prayer", **common).values["refused"]
    target = victim()
    target.module = None
    assert "gradients" in compared(target, arm=ARMS[1], **common).values["refused"]
    with pytest.raises(TargetError, match="needs gradients"):
        hardened(target, common["pool"], common["pool_labels"], Recipe(epsilon=EPSILON))
