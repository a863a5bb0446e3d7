"""Attackers and their disguises for the benchmark of the abuse monitors."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from tasks.attacks.evasion.hop_skip_jump import hop_skip_jump
from tasks.attacks.evasion.rays import rays
from tasks.attacks.evasion.square import square
from tasks.attacks.extraction.active import active
from tasks.attacks.extraction.data_free import data_free
from tasks.attacks.extraction.jacobian import jacobian
from tasks.attacks.extraction.knockoff import queries
from tasks.detectors.telemetry.traffic import Pool
from tasks.sandbox.protocol import Array
from tasks.targets.protocol import Access, Meter

BUDGET = 1000


class Recorded:
    """A target that writes down what it is asked, in order; answers scores."""

    access = Access.SCORES
    module: nn.Module | None = None

    def __init__(self, network: nn.Module, pool: Pool) -> None:
        self._network = network
        self.input_shape = pool.inputs.shape[1:]
        self.bounds = (pool.low, pool.high)
        self.classes = int(pool.labels.max()) + 1
        self.meter = Meter()
        self.asked: list[Array] = []

    def scores(self, inputs: Array) -> Array:
        self.asked.append(np.array(inputs, np.float32))
        self.meter.forwards += len(inputs)
        return scores_of(self._network, inputs)

    def describe(self) -> dict[str, Any]:
        return {}


def scores_of(network: nn.Module, inputs: Array) -> Array:
    """Asks a network in this process."""
    with torch.inference_mode():
        answers = network(torch.from_numpy(np.ascontiguousarray(inputs, np.float32)))
    found: Array = answers.numpy()
    return found


class Ground(NamedTuple):
    """One model, the inputs that honest clients have, and those that thieves have."""

    name: str
    network: nn.Module
    clients: Pool
    thieves: Pool
    strangers: Array
    """Natural inputs of another kind, in the model's shape."""

    def asked(self, attack: Callable[[Recorded, int], object], seed: int) -> Array:
        """Runs an attack and returns its questions in order."""
        target = Recorded(self.network, self.clients)
        attack(target, seed)
        return np.concatenate(target.asked)[:BUDGET]

    def victims(self, seed: int, count: int) -> tuple[Array, Array]:
        """Draws inputs that the model reads rightly, to be moved."""
        pool = self.clients
        right = np.flatnonzero(scores_of(self.network, pool.inputs).argmax(1) == pool.labels)
        rows = np.random.default_rng([seed, 5]).choice(right, count, replace=False)
        return pool.inputs[rows], pool.labels[rows]


Attack = Callable[[Ground, int], Array]


def decision_based(norm: str, points: int = 1) -> Attack:
    """HopSkipJump on one point, or on several side by side."""

    def asked(ground: Ground, seed: int) -> Array:
        inputs, labels = ground.victims(seed, points)
        return ground.asked(
            lambda target, seed: hop_skip_jump(
                target, inputs=inputs, labels=labels, norm=norm, queries=BUDGET // points, seed=seed  # type: ignore[arg-type]
            ),
            seed,
        )  # fmt: skip

    return asked


def ray_search(ground: Ground, seed: int) -> Array:
    """RayS."""
    inputs, labels = ground.victims(seed, 1)
    return ground.asked(
        lambda target, _: rays(target, inputs=inputs, labels=labels, queries=BUDGET), seed
    )


def squares(ground: Ground, seed: int) -> Array:
    """Square attack on scores, within a tenth of the range, until its budget ends."""
    inputs, labels = ground.victims(seed, 4)
    epsilon = 0.1 * (ground.clients.high - ground.clients.low)
    return ground.asked(
        lambda target, seed: square(
            target, inputs=inputs, labels=labels, epsilon=epsilon, queries=BUDGET // 4, seed=seed
        ),
        seed,
    )


def augmentation(ground: Ground, seed: int) -> Array:
    """Jacobian augmentation (Papernot)."""
    return ground.asked(lambda target, seed: _stolen(jacobian, target, ground, seed), seed)


def active_learning(ground: Ground, seed: int) -> Array:
    """Active thief: natural inputs that the copy is unsure of."""
    return ground.asked(lambda target, seed: _stolen(active, target, ground, seed), seed)


def generator(ground: Ground, seed: int) -> Array:
    """Data-free extraction."""
    return ground.asked(lambda target, seed: _stolen(data_free, target, ground, seed), seed)


def natural_pool(ground: Ground, seed: int) -> Array:
    """Knockoff with inputs like the clients' own: what no monitor of inputs can tell."""
    pool = ground.thieves
    return queries(pool.inputs, BUDGET, (pool.low, pool.high), seed=seed)


def other_data(ground: Ground, seed: int) -> Array:
    """Knockoff with natural inputs of another kind."""
    rows = np.random.default_rng([seed, 6]).permutation(len(ground.strangers))[:BUDGET]
    return ground.strangers[rows]


def noise(ground: Ground, seed: int) -> Array:
    """Uniform noise."""
    shape = (BUDGET, *ground.clients.inputs.shape[1:])
    return np.random.default_rng([seed, 7]).uniform(0, 1, shape).astype(np.float32)


def membership(ground: Ground, seed: int) -> Array:
    """Asks every row ten times, as who averages a noisy answer."""
    rows = np.random.default_rng([seed, 8]).permutation(len(ground.thieves.inputs))
    return np.repeat(ground.thieves.inputs[rows[: BUDGET // 10]], 10, axis=0)


def _stolen(attack: Callable[..., object], target: Recorded, ground: Ground, seed: int) -> object:
    pool, held_out = ground.thieves, ground.clients.inputs[:32]
    return attack(
        target, pool=pool.inputs, labels=pool.labels, held_out=held_out, budget=BUDGET, seed=seed
    )


ATTACKS: dict[str, Attack] = {
    "HopSkipJump L2": decision_based("l2"),
    "HopSkipJump Linf": decision_based("linf"),
    "HopSkipJump, 4 inputs side by side": decision_based("l2", 4),
    "RayS": ray_search,
    "Jacobian augmentation": augmentation,
    "Square (scores)": squares,
    "membership probing": membership,
    "uniform noise": noise,
    "data-free generator": generator,
    "Knockoff, other data": other_data,
    "active learning": active_learning,
    "Knockoff, natural pool": natural_pool,
}
BARRED = frozenset(list(ATTACKS)[:5])
"""Attacks that must be caught within 500 queries."""


COSTLY = frozenset({"data-free generator", "active learning"})
"""They train copies: a quarter of the attackers is tried."""


def mixed(attack: Array, honest: Array, share: float, rng: np.random.Generator) -> Array:
    """Hides an attack's questions, in order, among a share of honest ones."""
    total = int(len(attack) / (1 - share))
    is_attack = np.zeros(total, bool)
    is_attack[np.sort(rng.choice(total, len(attack), replace=False))] = True
    rows = rng.integers(0, len(honest), total)
    asked: Array = honest[rows].copy()
    asked[is_attack] = attack
    return asked


def split(attack: Array, accounts: int) -> Sequence[Array]:
    """Deals an attack's questions to accounts in turn."""
    return [attack[start::accounts] for start in range(accounts)]
