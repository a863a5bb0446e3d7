"""Active learning: asks about what the copy is unsure of, and spreads that over the inputs.

Source: Pal et al. 2020 (ActiveThief), AAAI 34, 865-872: uncertainty, then k-center among the most
uncertain.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.extraction.knockoff import queries
from tasks.attacks.extraction.notebook import Notebook
from tasks.attacks.extraction.students import Cohort
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

ROUNDS = 4
STEPS = 80
"""Training between rounds."""
CANDIDATES = 3
"""Inputs to choose from, for each query."""


def active(
    target: Target,
    *,
    pool: Images,
    labels: Labels,  # noqa: ARG001 - every strategy is offered the same
    held_out: Images,
    budget: int,
    seed: int = 0,
) -> Reply:
    """Copies the target by chosen questions; returns what ``Notebook.copy`` does."""
    notebook = Notebook(target, budget=budget, seed=seed)
    candidates = queries(pool, CANDIDATES * budget, target.bounds, seed=seed)
    share = max(1, budget // (ROUNDS + 1))
    notebook.ask(candidates[:share])
    candidates = candidates[share:]
    student = notebook.cohort()
    for turn in range(ROUNDS):
        count = notebook.left if turn == ROUNDS - 1 else min(share, notebook.left)
        if not count:
            break
        notebook.teach(student, steps=STEPS)
        chosen = _chosen(student, notebook.centred(candidates), count)
        notebook.ask(candidates[chosen])
        candidates = np.delete(candidates, chosen, axis=0)
    return notebook.copy(held_out)


def _chosen(student: Cohort, inputs: torch.Tensor, count: int) -> NDArray[np.int64]:
    with torch.no_grad():
        parts = [student.logits(part[None])[0].softmax(dim=1) for part in inputs.split(256)]
    beliefs = torch.cat(parts).numpy()
    doubt = -(beliefs * np.log(np.maximum(beliefs, 1e-12))).sum(axis=1)
    unsure = np.argsort(-doubt, kind="stable")[: 2 * count]
    return unsure[centres(beliefs[unsure], count)]


def centres(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Returns ``count`` places, each the point furthest from those before it (Gonzalez 1985)."""
    chosen = [0]
    distance = ((points - points[0]) ** 2).sum(axis=1)
    for _ in range(min(count, len(points)) - 1):
        distance[chosen[-1]] = -1
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        distance[chosen] = -1
    return np.array(chosen)
