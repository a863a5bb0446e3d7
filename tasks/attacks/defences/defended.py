"""A target with a defence in front of it, which every attack can be run on. In the sandbox only."""

from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.attacks.defences.preprocessing import FILTERS, Filtered
from tasks.attacks.defences.randomised import CHANGES, Randomised
from tasks.domain.errors import TargetError
from tasks.targets.opening import open_target
from tasks.targets.protocol import Access, Images, Scores, Target
from tasks.targets.torch_target import chunks

VOTES = 20
"""Answers that a defence with chance in it is read by: the mean of their probabilities."""


class Defended:
    """A target behind a defence, in the same range and shape.

    Args:
        target: What stands behind it; its meter counts.
        module: Defence and model, from raw inputs to scores.
        name: Of the defence.
        votes: Answers that are averaged for every reading; 1 where there is no chance in it.
    """

    def __init__(self, target: Target, module: nn.Module, *, name: str, votes: int = 1) -> None:
        self.inner, self.name, self.votes = target, name, votes
        self.access = Access.GRADIENTS
        self.input_shape, self.bounds = target.input_shape, target.bounds
        self.classes, self.meter = target.classes, target.meter
        self.module: nn.Module | None = module

    def scores(self, inputs: Images) -> Scores:
        """Answers a batch of any size, in chunks that fit memory."""
        parts = [self._chunk(inputs[part]) for part in chunks(len(inputs), self.input_shape)]
        return np.concatenate(parts or [np.zeros((0, self.classes), np.float32)])

    def describe(self) -> dict[str, Any]:
        """Says what it stands in front of, and whether there is chance in its answers."""
        told = self.inner.describe()
        deterministic = self.votes == 1 and bool(told.get("deterministic", True))
        return told | {"defence": self.name, "deterministic": deterministic}

    def _chunk(self, inputs: Images) -> Scores:
        assert self.module is not None
        with torch.no_grad():
            raw = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32))
            if self.votes == 1:
                answered: Scores = self.module(raw).numpy()
                return answered
            shares = torch.zeros(len(raw), self.classes)
            for _ in range(self.votes):
                shares += self.module(raw).softmax(dim=1)
            voted: Scores = (shares / self.votes).clamp_min(1e-30).log().numpy()
        return voted


def open_defended(
    *,
    artifact: str,
    architecture: str | None,
    model: dict[str, Any],
    defence: str,
    sigma: float,
    seed: int,
) -> Defended:
    """Opens a model file and puts a defence in front of it.

    Args:
        artifact: Path of the model file.
        architecture: Path of the layer list, for weights without a graph.
        model: ``ModelSpec`` as JSON values.
        defence: One of ``FILTERS`` or ``CHANGES``.
        sigma: Standard deviation of the noise of randomised smoothing, in raw units.
        seed: Of what is drawn.

    Raises:
        TargetError: The file cannot be used, or the defence cannot stand in front of it.
    """
    target = open_target(artifact=artifact, architecture=architecture, model=model)
    return defended(target, defence, sigma=sigma, seed=seed)


def defended(target: Target, name: str, *, sigma: float, seed: int) -> Defended:
    """Puts a defence in front of an opened target.

    Raises:
        TargetError: There is no such defence, or it cannot stand in front of this target.
    """
    if name not in {*FILTERS, *CHANGES}:
        raise TargetError(f"there is no defence {name}; known: {', '.join((*FILTERS, *CHANGES))}")
    try:
        if name in CHANGES:
            random = Randomised(target, name, sigma=sigma, seed=seed)
            return Defended(target, random, name=name, votes=VOTES)
        return Defended(target, Filtered(target, name), name=name)
    except ValueError as error:
        raise TargetError(f"{name} cannot stand in front of this model: {error}") from error
