"""Random changes in front of a model: another one at every look, so one look proves nothing.

The changes are differentiable, and an attacker who knows of them averages over many draws (EoT;
Athalye et al. 2018, arXiv 1707.07397). Resizing and padding after Xie et al. 2018, arXiv
1711.01991; Gaussian noise and a vote is randomised smoothing, Cohen et al. 2019, arXiv 1902.02918.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from tasks.attacks.corruptions.picture import Layout
from tasks.attacks.evasion.victim import device_of
from tasks.domain.errors import TargetError
from tasks.targets.protocol import Target

SMALLEST_SIZE = 0.8
"""Side of the smallest resized picture, as a share of the whole one; the rest is padding."""
Change = Callable[[torch.Tensor], torch.Tensor]


class Randomised(nn.Module):
    """A random change of every input, then the model.

    Args:
        target: Victim that reveals gradients.
        name: One of ``CHANGES``.
        sigma: Standard deviation of the noise, in raw units.
        seed: Equal seeds give equal answers to equal questions in equal order.

    Raises:
        TargetError: The target reveals no gradients.
        ValueError: Its items are no pictures, which resizing needs.
    """

    def __init__(self, target: Target, name: str, *, sigma: float, seed: int) -> None:
        super().__init__()
        if target.module is None:
            raise TargetError("this needs gradients, the target reveals only scores")
        self.inner, self.sigma, self.low = target.module, sigma, target.bounds[0]
        self.generator = torch.Generator().manual_seed(seed)
        self.change: Change = self.noisy
        if name == "random_resize_pad":
            self.layout = Layout(target.input_shape, target.bounds)
            self.change = self.resized
        self.device = device_of(target.module)
        self.training = False

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """Answers scores to changed inputs."""
        scores: torch.Tensor = self.inner(self.change(raw))
        return scores

    def noisy(self, raw: torch.Tensor) -> torch.Tensor:
        """Returns the inputs under Gaussian noise; they may leave the range, as in the source."""
        noise = torch.randn(raw.shape, generator=self.generator)
        return raw + self.sigma * noise.to(raw.device)

    def resized(self, raw: torch.Tensor) -> torch.Tensor:
        """Returns each picture smaller and at a random place, padded with the lowest value."""
        planes = raw.movedim(-1, 1) if self.layout.channels_last else raw
        planes = planes.reshape(len(raw), -1, *self.layout.sides)
        drawn = torch.rand(len(raw), 3, generator=self.generator).to(raw.device)
        size = SMALLEST_SIZE + (1 - SMALLEST_SIZE) * drawn[:, 0]
        # affine_grid maps places of the answer to places of the picture, hence the inverse.
        way = torch.zeros(len(raw), 2, 3, device=raw.device)
        way[:, 0, 0] = way[:, 1, 1] = 1 / size
        way[:, :, 2] = (2 * drawn[:, 1:] - 1) * ((1 - size) / size)[:, None]
        places = functional.affine_grid(way, list(planes.shape), align_corners=False)
        moved = functional.grid_sample(planes - self.low, places, align_corners=False) + self.low
        sized = moved.movedim(1, -1) if self.layout.channels_last else moved
        return sized.reshape(raw.shape)


CHANGES = ("random_resize_pad", "randomised_smoothing")
