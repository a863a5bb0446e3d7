"""Moves inputs against an undefended copy and hopes that the target falls as well.

Source: Papernot et al. 2016, arXiv 1602.02697 (substitute models). Gradients of a copy cannot be
masked by the target, so what this breaks and the target's own gradients do not is a sign of masking
(Carlini et al. 2019, arXiv 1902.06705, section 4.3).
"""

import numpy as np
import torch
from torch import nn

from tasks.attacks.evasion.nearest import wide
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target, predicted, product

WIDTH, BATCH, TRAINING_STEPS = 64, 64, 300
AUGMENTED = 0.5
"""Noise on the copy's training inputs, as a share of the budget."""
PGD_STEPS = 40
STRIDE = 0.1
"""Length of a step, as a share of the budget."""


def transfer(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    pool: Images,
    epsilon: float,
    norm: str = "linf",
    seed: int = 0,
) -> Reply:
    """Teaches a small network the target's labels, climbs on it, and asks the target.

    Args:
        target: Victim; labels are enough.
        inputs: (n, …) float32, raw values within ``target.bounds``, correctly classified.
        labels: (n,) true classes.
        pool: (m, …) raw inputs that the copy learns from; the target is asked about each once.
        epsilon: Radius of the ball, in raw units.
        norm: ``linf`` or ``l2``.
        seed: Equal seeds give equal copies on one thread.

    Returns:
        Arrays ``candidates`` (like ``inputs``) and ``found`` (n,); values ``passes``, ``queries``.
        Passes of the copy are not counted: it is not the target.
    """
    before = target.meter.forwards
    clean = np.ascontiguousarray(inputs, np.float32)
    if not len(labels) or not len(pool):
        none = np.zeros(len(labels), bool)
        return Reply({"candidates": clean, "found": none}, {"passes": 0, "queries": 0})
    taught = predicted(target, pool)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        copy = _copy(target)
        _teach(copy, torch.from_numpy(pool), torch.from_numpy(taught), AUGMENTED * epsilon)
    true = torch.from_numpy(labels.astype(np.int64))
    change = _climbed(
        copy, torch.from_numpy(clean), true, bounds=target.bounds, ball=(epsilon, norm)
    )
    moved: Images = np.clip(clean + change, *target.bounds).astype(np.float32)
    found = predicted(target, moved) != labels
    asked = target.meter.forwards - before
    return Reply({"candidates": moved, "found": found}, {"passes": asked, "queries": asked})


def _copy(target: Target) -> nn.Module:
    low, high = target.bounds
    return nn.Sequential(
        _Centred((low + high) / 2, (high - low) / 2),
        nn.Flatten(),
        nn.Linear(product(target.input_shape), WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, target.classes),
    )


class _Centred(nn.Module):
    def __init__(self, middle: float, reach: float) -> None:
        super().__init__()
        self.middle, self.reach = middle, reach

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (inputs - self.middle) / self.reach


def _teach(copy: nn.Module, pool: torch.Tensor, taught: torch.Tensor, spread: float) -> None:
    optimizer = torch.optim.Adam(copy.parameters(), 3e-3)
    for _ in range(TRAINING_STEPS):
        rows = torch.randint(len(pool), (min(BATCH, len(pool)),))
        shown = pool[rows] + spread * (2 * torch.rand_like(pool[rows]) - 1)
        optimizer.zero_grad()
        nn.functional.cross_entropy(copy(shown), taught[rows]).backward()
        optimizer.step()
    copy.eval().requires_grad_(requires_grad=False)


def _climbed(
    copy: nn.Module,
    clean: torch.Tensor,
    labels: torch.Tensor,
    *,
    bounds: tuple[float, float],
    ball: tuple[float, str],
) -> Images:
    """Projected ascent on the copy's margin; all steps, so that the change carries over."""
    epsilon, norm = ball
    rows = torch.arange(len(labels))
    change = torch.zeros_like(clean)
    for _ in range(PGD_STEPS):
        now = (clean + change).requires_grad_()
        scores = copy(now)
        others = scores.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
        (slope,) = torch.autograd.grad((others - scores[rows, labels]).sum(), now)
        if norm == "l2":
            length = slope.flatten(1).norm(dim=1).clamp_min(1e-12)
            change = change + STRIDE * epsilon * slope / wide(length, slope)
            longer = (change.flatten(1).norm(dim=1) / epsilon).clamp_min(1)
            change = change / wide(longer, change)
        else:
            change = (change + STRIDE * epsilon * slope.sign()).clamp(-epsilon, epsilon)
        change = (clean + change).clamp(*bounds) - clean
    changed: Images = change.numpy()
    return changed
