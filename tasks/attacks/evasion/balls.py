"""The shapes a change must stay inside: a ball around each input, cut by the range of inputs."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

SMALLEST = 1e-12
"""Keeps quotients of norms finite; no change that matters is this short."""


class Ball(Protocol):
    """All points within ``epsilon`` of an input and within ``low`` and ``high`` (raw units).

    Where inputs are whole numbers (``whole``), so are all changes: what rounding would undo is no
    attack. Fractions are cut off, which only shortens a change.
    """

    epsilon: float
    low: float
    high: float

    def start(self, clean: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
        """Returns a random point of one input's ball, as far out as the budget allows."""

    def stepped(
        self, now: torch.Tensor, gradient: torch.Tensor, stride: torch.Tensor
    ) -> torch.Tensor:
        """Returns ``now`` (m, …) moved by ``stride`` (m,) in the steepest direction."""

    def inside(self, moved: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Returns the points (m, …) brought back into ball and range."""

    def reach(self, moved: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Returns how far each point was moved (m,)."""


class LinfBall:
    """Every value may change by ``epsilon`` at most."""

    def __init__(self, epsilon: float, bounds: tuple[float, float], *, whole: bool = False) -> None:
        self.epsilon, self.whole = epsilon, whole
        self.low, self.high = bounds

    def start(self, clean: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
        """Returns a point whose largest change is the whole budget, before the range cuts it."""
        noise = rng.uniform(-1, 1, clean.shape)
        moved = clean + self.epsilon * noise / np.abs(noise).max()
        placed: NDArray[np.float64] = np.clip(moved, self.low, self.high)
        return placed

    def stepped(
        self, now: torch.Tensor, gradient: torch.Tensor, stride: torch.Tensor
    ) -> torch.Tensor:
        """Returns a step of the gradient's sign: steepest where the largest change counts."""
        return torch.addcmul(now, wide(stride, now), gradient.sign())

    def inside(self, moved: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Returns each value brought back on its own."""
        lowest = (clean - self.epsilon).clamp_min_(self.low)
        highest = (clean + self.epsilon).clamp_max_(self.high)
        return on_grid(torch.clamp(moved, lowest, highest), clean, whole=self.whole)

    def reach(self, moved: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Returns the largest change of each point (m,)."""
        return (moved - clean).flatten(1).abs().amax(dim=1)


class L2Ball:
    """The squares of all changes sum to ``epsilon`` squared at most."""

    def __init__(self, epsilon: float, bounds: tuple[float, float], *, whole: bool = False) -> None:
        self.epsilon, self.whole = epsilon, whole
        self.low, self.high = bounds

    def start(self, clean: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
        """Returns a point in a random direction at the whole budget, before the range cuts it."""
        noise = rng.normal(size=clean.shape)
        moved = clean + self.epsilon * noise / max(float(np.linalg.norm(noise)), SMALLEST)
        placed: NDArray[np.float64] = np.clip(moved, self.low, self.high)
        return placed

    def stepped(
        self, now: torch.Tensor, gradient: torch.Tensor, stride: torch.Tensor
    ) -> torch.Tensor:
        """Returns a step along the gradient, whose own length does not matter."""
        return torch.addcmul(now, wide(stride / lengths(gradient), now), gradient)

    def inside(self, moved: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Returns each change shortened to the budget, then each value cut to the range.

        The cut can only shorten: the clean input lies in the range.
        """
        change = moved - clean
        share = (self.epsilon / lengths(change)).clamp_max_(1.0)
        short = torch.addcmul(clean, wide(share, change), change).clamp_(self.low, self.high)
        return on_grid(short, clean, whole=self.whole)

    def reach(self, moved: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Returns the length of each change (m,)."""
        reached: torch.Tensor = torch.linalg.vector_norm((moved - clean).flatten(1), dim=1)
        return reached


BALLS: dict[str, type[LinfBall] | type[L2Ball]] = {"linf": LinfBall, "l2": L2Ball}


def on_grid(moved: torch.Tensor, clean: torch.Tensor, *, whole: bool) -> torch.Tensor:
    """Returns ``moved`` with the fractions of its changes cut off, where inputs are ``whole``."""
    return clean + (moved - clean).trunc_() if whole else moved


def wide(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Returns one value per point (m,) in a shape that spreads over ``like`` (m, …)."""
    return values.reshape(-1, *(1,) * (like.dim() - 1))


def lengths(tensor: torch.Tensor) -> torch.Tensor:
    """Returns the Euclidean length of each row (m,), never zero."""
    found: torch.Tensor = torch.linalg.vector_norm(tensor.flatten(1), dim=1).clamp_min(SMALLEST)
    return found
