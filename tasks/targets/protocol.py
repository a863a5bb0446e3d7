"""What an opened model looks like to attacks and detectors, inside the sandbox.

A target takes *raw* inputs, within ``bounds``; it normalises by itself. It is in evaluation mode
and computes in float32.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Images = NDArray[np.float32]
"""(batch, *input shape), raw values within ``bounds``."""
Labels = NDArray[np.int64]
"""(batch,), classes 0 to ``classes`` - 1."""
Scores = NDArray[np.float32]
"""(batch, classes), logits (or log-probabilities when the model answers probabilities)."""


class Access(StrEnum):
    """How much a target reveals; each step includes the ones before it."""

    LABELS = "labels"
    SCORES = "scores"
    GRADIENTS = "gradients"


class Meter:
    """Counts what was asked of a target."""

    def __init__(self) -> None:
        self.forwards = 0
        self.backwards = 0

    @property
    def passes(self) -> int:
        """One forward or one backward of one input is one pass."""
        return self.forwards + self.backwards


class Target(Protocol):
    """A classifier that can be queried, and perhaps differentiated."""

    access: Access
    input_shape: tuple[int, ...]
    bounds: tuple[float, float]
    classes: int
    meter: Meter
    module: torch.nn.Module | None
    """Raw inputs to scores, differentiable; None below ``Access.GRADIENTS``. Counts its passes."""

    def scores(self, inputs: Images) -> Scores:
        """Answers a batch of any size, in chunks that fit memory."""

    def describe(self) -> dict[str, Any]:
        """Says what it is, as JSON values: kind, access, parameters, notes."""


def predicted(target: Target, inputs: Images) -> Labels:
    """Returns the class with the highest score for each input."""
    labels: Labels = target.scores(inputs).argmax(axis=1).astype(np.int64)
    return labels


def product(shape: Sequence[int]) -> int:
    """Returns the number of values in one item."""
    return int(np.prod(shape))
