"""What a model is asked at once does not grow with the number of points under attack."""

from typing import Any

import pytest
import torch

from tasks.attacks.evasion.pool import MOST_SLOTS
from tasks.sandbox.procedures import procedure
from tests.tasks.attacks.evasion.victims import linear

FEW, MANY = 300, 1200
ATTACKS: dict[str, dict[str, Any]] = {
    "linf_apgd": {"epsilon": 1e-4, "steps": 2},
    "l2_apgd": {"epsilon": 1e-4, "steps": 2},
    "linf_fab": {"epsilon": 1e-4, "steps": 1},
    "l2_fab": {"epsilon": 1e-4, "steps": 1},
    "square": {"epsilon": 1e-4, "queries": 3},
    "l2_square": {"epsilon": 1e-4, "queries": 3},
    "fmn": {"steps": 1, "targets": 1},
    "ddn": {"steps": 1, "targets": 1},
    "sigma_zero": {"steps": 1, "targets": 1},
    "rays": {"epsilon": 1e-4, "queries": 10},
    "hop_skip_jump": {"queries": 60},
    "noise": {"epsilon": 1e-4, "draws": 3},
}


def largest_batch(name: str, points: int) -> int:
    victim = linear(points=points, features=6, classes=3)
    sizes: list[int] = []
    assert victim.target.module is not None

    def noted(_module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(given[0]))

    victim.target.module.register_forward_pre_hook(noted)
    attack = procedure(f"attacks.evasion.{name}")
    attack(victim.target, inputs=victim.inputs, labels=victim.labels, seed=0, **ATTACKS[name])
    return max(sizes)


@pytest.mark.parametrize("name", ATTACKS)
def test_batches_do_not_grow_with_the_points(name: str) -> None:
    few, many = largest_batch(name, FEW), largest_batch(name, MANY)
    assert few == many <= MOST_SLOTS
