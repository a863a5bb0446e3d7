"""Jacobian augmentation: few natural inputs, then steps along the copy's own gradients.

Source: Papernot et al. 2017, arXiv 1602.02697, section 4; the direction alternates from round to
round (periodic step size), as there.
"""

import numpy as np
import torch

from tasks.attacks.extraction.notebook import Notebook
from tasks.attacks.extraction.students import Cohort
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

SEEDS = 100
STEP = 0.2
"""Of the half range."""
STEPS = 60
"""Training between rounds."""


def jacobian(
    target: Target,
    *,
    pool: Images,
    labels: Labels,  # noqa: ARG001 - every strategy is offered the same
    held_out: Images,
    budget: int,
    seed: int = 0,
) -> Reply:
    """Copies the target by augmentation; returns what ``Notebook.copy`` does."""
    rng = np.random.default_rng([seed, 1602])
    notebook = Notebook(target, budget=budget, seed=seed)
    notebook.ask(pool[rng.permutation(len(pool))[: min(SEEDS, budget)]])
    student = notebook.cohort()
    direction = 1.0
    while notebook.left:
        notebook.teach(student, steps=STEPS)
        parents = rng.permutation(len(notebook.asked))[: notebook.left]
        chosen = notebook.centred(notebook.asked[parents])
        told = torch.from_numpy(notebook.beliefs[parents].argmax(axis=1))
        moved = chosen + direction * STEP * _signs(student, chosen, told)
        notebook.ask(notebook.raw(moved))
        direction = -direction
    return notebook.copy(held_out)


def _signs(student: Cohort, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Returns where the copy's score of the answered class grows, per value."""
    parts = []
    for part, told in zip(inputs.split(256), labels.split(256), strict=True):
        seen = part[None].clone().requires_grad_()
        named = student.logits(seen)[0].gather(1, told[:, None]).sum()
        (gradient,) = torch.autograd.grad(named, seen)
        parts.append(gradient[0].sign())
    return torch.cat(parts)
