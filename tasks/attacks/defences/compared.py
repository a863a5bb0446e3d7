"""A model before and after each defence, attacked as if the attacker knew of it."""

from typing import Any

import numpy as np
from torch import nn

from tasks.attacks.defences.adversarial_training import Recipe, hardened
from tasks.attacks.defences.preprocessing import FILTERS, Filtered
from tasks.attacks.evasion.linf_apgd import linf_apgd
from tasks.attacks.evasion.square import square
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Access, Images, Labels, Scores, Target, predicted
from tasks.targets.torch_target import RawScores

TRAINED = "adversarial_training"
ARMS = ("none", TRAINED, *FILTERS)


class Guarded:
    """A target whose module is another one, in the same range and shape."""

    def __init__(self, target: Target, module: nn.Module) -> None:
        self.inner = target
        self.access = Access.GRADIENTS
        self.input_shape, self.bounds = target.input_shape, target.bounds
        self.classes, self.meter = target.classes, target.meter
        self.module: nn.Module | None = module

    def scores(self, inputs: Images) -> Scores:
        """Answers a batch of any size."""
        import torch  # noqa: PLC0415 - beside its only use

        assert self.module is not None
        with torch.no_grad():
            parts = [self.module(part) for part in torch.from_numpy(inputs).split(256)]
        empty = [torch.zeros((0, self.classes))]
        answered: Scores = torch.cat(parts or empty).numpy()
        return answered

    def describe(self) -> dict[str, Any]:
        """Says what it stands in front of."""
        return self.inner.describe()


def compared(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    pool: Images,
    pool_labels: Labels,
    arm: str,
    epsilon: float,
    steps: int = 50,
    queries: int = 500,
    epochs: int = 10,
    seed: int = 0,
) -> Reply:
    """Puts one defence up and attacks it.

    Args:
        target: Victim that reveals gradients.
        inputs: (n, …) float32 raw inputs to attack.
        labels: (n,) true classes.
        pool: (m, …) raw inputs to train on.
        pool_labels: (m,) true classes.
        arm: One of ``ARMS``.
        epsilon: Radius of the L-infinity ball, in raw units; the recipe trains for the same.
        steps: Steps of Auto-PGD.
        queries: Queries of Square per point.
        epochs: Of adversarial training.
        seed: Equal seeds give equal outputs on one thread.

    Returns:
        Arrays ``clean`` and ``moved`` (n,: classes that the defended model answers to the inputs
        and to the worst candidates), ``unaware`` (n,: to candidates made without knowing of the
        defence) and ``candidates``; values ``passes``, ``queries``, and ``refused`` (why) where the
        defence cannot be put up.
    """
    before = target.meter.forwards, target.meter.backwards
    attack: dict[str, Any] = {"epsilon": epsilon, "seed": seed}
    try:
        recipe = Recipe(epsilon=epsilon, epochs=epochs, seed=seed)
        guarded = _guarded(target, arm, pool, pool_labels, recipe)
        clean = predicted(guarded, inputs)
    except (TargetError, ValueError, RuntimeError) as error:
        return Reply({}, {"passes": 0, "queries": 0, "refused": str(error)[:500]})
    unaware = _climbed(target, inputs, labels, steps, attack)
    moved = inputs.copy()
    rows = np.flatnonzero(clean == labels)
    moved[rows] = _climbed(guarded, inputs[rows], labels[rows], steps, attack)
    # The filter's slope is a guess, so what stands is tried without slopes, and with other slopes.
    rows = rows[predicted(guarded, moved[rows]) == labels[rows]]
    tried = square(guarded, inputs=inputs[rows], labels=labels[rows], queries=queries, **attack)
    moved[rows] = tried.arrays["candidates"]
    rows = rows[~tried.arrays["found"]]
    carried = predicted(guarded, unaware[rows]) != labels[rows]
    moved[rows[carried]] = unaware[rows[carried]]
    asked = target.meter.forwards - before[0]
    return Reply(
        {
            "clean": clean,
            "moved": predicted(guarded, moved),
            "unaware": predicted(guarded, unaware),
            "candidates": moved,
        },
        {"passes": asked + target.meter.backwards - before[1], "queries": asked},
    )


def _climbed(
    victim: Target, inputs: Images, labels: Labels, steps: int, attack: dict[str, Any]
) -> Images:
    """Auto-PGD with cross-entropy, then targeted DLR on what stands."""
    moved = linf_apgd(victim, inputs=inputs, labels=labels, loss="ce", steps=steps, **attack)
    best, rows = moved.arrays["candidates"], np.flatnonzero(~moved.arrays["found"])
    more = linf_apgd(
        victim, inputs=inputs[rows], labels=labels[rows], loss="dlr_targeted", steps=steps,
        targets=3, **attack,
    )  # fmt: skip
    best[rows] = more.arrays["candidates"]
    climbed: Images = best
    return climbed


def _guarded(
    target: Target, arm: str, pool: Images, pool_labels: Labels, recipe: Recipe
) -> Guarded:
    if arm == "none":
        assert target.module is not None
        return Guarded(target, target.module)
    if arm == TRAINED:
        module = hardened(target, pool, pool_labels, recipe)
        # A copy of the module has a copy of its meter; the passes belong on the target's own.
        for part in module.modules():
            if isinstance(part, RawScores):
                part.meter = target.meter
        return Guarded(target, module)
    if arm not in FILTERS:
        raise ValueError(f"there is no defence {arm}; known are {', '.join(ARMS)}")
    return Guarded(target, Filtered(target, arm))
