"""Turns and shifts a picture until its class changes: gradient ascent on the pose.

Source: Engstrom et al. 2019, arXiv 1712.02779, section 3 (first-order method). The landscape has
many hollows, so the caller starts this from the worst poses of a grid.
"""

import numpy as np
import torch
from torch.nn import functional

from tasks.attacks.corruptions.picture import Layout
from tasks.attacks.evasion.nearest import lost
from tasks.attacks.evasion.turning import Pose
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

FIRST_STRIDE = 0.2
"""Length of the first step, as a share of the allowed pose; the last ones go to zero."""


def spatial(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    poses: Pose,
    degrees: float,
    shift: float,
    steps: int = 20,
    seed: int = 0,  # noqa: ARG001 - every attack takes one; this one draws nothing
) -> Reply:
    """Improves one pose per picture.

    Args:
        target: Victim that reveals gradients.
        inputs: (n, …) float32, raw pictures.
        labels: (n,) true classes.
        poses: Where to start (n, 3): degrees, rows and columns as shares of the sides.
        degrees: Largest angle.
        shift: Largest shift, as a share of the side.
        steps: Steps per picture; each costs one forward and one backward.
        seed: Not used, the search is deterministic.

    Returns:
        Array ``poses`` (n, 3), the best ones seen; values ``passes`` and ``queries``. The caller
        turns the pictures itself and asks again.

    Raises:
        TargetError: The target reveals no gradients.
    """
    if target.module is None:
        raise TargetError("this attack needs gradients, the target reveals only scores")
    before = target.meter.forwards, target.meter.backwards
    layout = Layout(target.input_shape, target.bounds)
    # A pose that may not change at all is left at no pose, and divided by next to nothing.
    most = torch.tensor([degrees, shift, shift], dtype=torch.float64).clamp_min(1e-12)
    best = poses.copy()
    rows = np.arange(len(labels))
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        climb = _Climb(target, layout, inputs[part], labels[part], most)
        best[part] = climb.run(torch.from_numpy(poses[part]) / most, steps)
    forwards = target.meter.forwards - before[0]
    backwards = target.meter.backwards - before[1]
    return Reply({"poses": best}, {"passes": forwards + backwards, "queries": forwards})


class _Climb:
    def __init__(
        self, target: Target, layout: Layout, inputs: Images, labels: Labels, most: torch.Tensor
    ) -> None:
        self.target, self.most, self.layout = target, most, layout
        pictures = np.stack([layout.picture(item) for item in inputs])
        self.pictures = torch.from_numpy(pictures).float()
        self.labels = torch.from_numpy(labels.astype(np.int64))

    def run(self, share: torch.Tensor, steps: int) -> Pose:
        best, least = share.clone(), torch.full((len(share),), torch.inf)
        for step in range(steps + 1):
            lead, slope, broken = self._look(share)
            better = lead < least
            best[better], least = share[better], torch.where(better, lead, least)
            if broken.all():
                break
            stride = FIRST_STRIDE * (1 - step / (steps + 1))
            share = torch.where(
                broken[:, None], share, (share - stride * slope.sign()).clamp(-1, 1)
            )
        return np.asarray((best * self.most).numpy(), dtype=np.float64)

    def _look(self, share: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        assert self.target.module is not None
        rows = torch.arange(len(self.labels))
        with torch.enable_grad():
            share = share.detach().requires_grad_()
            scores = self.target.module(self._turned(share * self.most))
            others = scores.scatter(1, self.labels[:, None], -torch.inf)
            lead = scores[rows, self.labels] - others.amax(dim=1)
            (slope,) = torch.autograd.grad(lead.sum(), share)
        return lead.detach(), slope, lost(scores.detach(), self.labels)

    def _turned(self, poses: torch.Tensor) -> torch.Tensor:
        """Does what ``turning`` does, differentiably."""
        height, width = self.layout.sides
        down = torch.arange(height, dtype=torch.float64)[None, :, None] - (height - 1) / 2
        right = torch.arange(width, dtype=torch.float64)[None, None] - (width - 1) / 2
        angle = torch.deg2rad(poses[:, 0])[:, None, None]
        down = down - poses[:, 1][:, None, None] * height
        right = right - poses[:, 2][:, None, None] * width
        rows = angle.cos() * down + angle.sin() * right
        columns = -angle.sin() * down + angle.cos() * right
        places = torch.stack([columns * 2 / (width - 1), rows * 2 / (height - 1)], dim=-1)
        shown = functional.grid_sample(
            self.pictures, places.float(), padding_mode="border", align_corners=True
        )
        shown = shown.movedim(1, -1) if self.layout.channels_last else shown
        raw = shown * (self.layout.high - self.layout.low) + self.layout.low
        return raw.reshape(len(poses), *self.layout.shape)
