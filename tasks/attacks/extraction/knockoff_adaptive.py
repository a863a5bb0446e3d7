"""Adaptive Knockoff: learns which kinds of inputs are worth asking about.

Source: Orekondy et al. 2019, arXiv 1812.02766, section 4.1.2: a gradient bandit whose actions are
the classes of the thief's own data and whose reward is certainty, diversity and the copy's loss.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.attacks.extraction.knockoff import queries
from tasks.attacks.extraction.notebook import Notebook
from tasks.attacks.extraction.students import Beliefs, Cohort
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target

ROUNDS = 12
STEPS = 30
"""Training between rounds."""
LEARNING_RATE = 1.0
Floats = NDArray[np.float64]


def knockoff_adaptive(
    target: Target, *, pool: Images, labels: Labels, held_out: Images, budget: int, seed: int = 0
) -> Reply:
    """Copies the target by rewarded questions; returns what ``Notebook.copy`` does."""
    rng = np.random.default_rng([seed, 412])
    notebook = Notebook(target, budget=budget, seed=seed)
    # Each class's inputs, stretched so that one class alone could fill the budget.
    kinds = [
        queries(pool[labels == label], budget, target.bounds, seed=seed)
        for label in np.unique(labels)
    ]
    taken = np.zeros(len(kinds), np.int64)
    liking, mean = np.zeros(len(kinds)), 0.0
    student = notebook.cohort()
    share = max(1, -(-budget // ROUNDS))
    while notebook.left:
        chances = _softmax(liking)
        counts = rng.multinomial(min(share, notebook.left), chances)
        asked = [kinds[k][taken[k] : taken[k] + count] for k, count in enumerate(counts)]
        beliefs = notebook.ask(np.concatenate(asked))
        taken += counts
        rewards = _rewards(notebook, student, np.concatenate(asked), beliefs)
        for kind, reward in zip(np.repeat(np.arange(len(kinds)), counts), rewards, strict=True):
            pull = -chances * (reward - mean) / len(rewards)
            pull[kind] += (reward - mean) / len(rewards)
            liking += LEARNING_RATE * len(kinds) * pull
        mean = 0.5 * mean + 0.5 * float(rewards.mean())
        notebook.teach(student, steps=STEPS)
    return notebook.copy(held_out)


def _rewards(notebook: Notebook, student: Cohort, asked: Images, beliefs: Beliefs) -> Floats:
    """Returns certainty of the victim, rarity of its answer and loss of the copy, each in 0..1."""
    ordered = np.sort(beliefs, axis=1)
    certainty = ordered[:, -1] - ordered[:, -2]
    rarity = 1 - notebook.beliefs.mean(axis=0)[beliefs.argmax(axis=1)]
    with torch.no_grad():
        spoken = student.logits(notebook.centred(asked)[None])[0].log_softmax(dim=1).numpy()
    loss = -(beliefs * spoken).sum(axis=1)
    return np.asarray(certainty + rarity + np.tanh(loss), np.float64) / 3


def _softmax(values: Floats) -> Floats:
    raised = np.exp(values - values.max())
    chances: Floats = raised / raised.sum()
    return chances
