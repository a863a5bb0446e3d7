"""The descent of many variables side by side, of which some may leave: Adam, without an object.

Source: Kingma and Ba 2015, arXiv 1412.6980, algorithm 1.
"""

from typing import NamedTuple, Self

import torch

BETAS = (0.5, 0.9)
"""As in the code of Neural Cleanse."""


class Descent(NamedTuple):
    """One variable under Adam, one row per trigger."""

    values: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    steps: int

    @classmethod
    def begin(cls, values: torch.Tensor) -> Self:
        """Returns the state before the first step."""
        return cls(values, torch.zeros_like(values), torch.zeros_like(values), 0)

    def step(self, gradient: torch.Tensor, rate: float) -> Self:
        """Returns the state one step down ``gradient``."""
        steps = self.steps + 1
        slow, fast = BETAS
        first = slow * self.first + (1 - slow) * gradient
        second = fast * self.second + (1 - fast) * gradient.square()
        root = (second / (1 - fast**steps)).sqrt() + 1e-8
        moved = self.values - rate * (first / (1 - slow**steps)) / root
        return self._replace(values=moved, first=first, second=second, steps=steps)

    def pick(self, rows: torch.Tensor) -> Self:
        """Returns the state of these triggers."""
        return self._replace(
            values=self.values[rows], first=self.first[rows], second=self.second[rows]
        )
