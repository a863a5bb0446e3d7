"""Data-free: a generator invents the inputs on which two copies disagree most.

Source: Rosenthal et al. 2023 (DisGUIDE), AAAI 37: disagreement of two clones instead of gradients
of the victim, class diversity, and a replay of all earlier answers. Small on purpose: a generator
of two layers, budgets of thousands, not millions, so that its failure shows little.
"""

import torch
from torch import nn

from tasks.attacks.extraction.notebook import Notebook
from tasks.attacks.extraction.students import BATCH, Cohort
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target, product

ROUNDS = 16
INVENTING, LEARNING = 8, 30
"""Steps of the generator and of the clones in each round."""
NOISE, WIDTH = 32, 128
DIVERSITY = 0.2


def data_free(
    target: Target,
    *,
    pool: Images,  # noqa: ARG001 - every strategy is offered the same; this one owns nothing
    labels: Labels,  # noqa: ARG001
    held_out: Images,
    budget: int,
    seed: int = 0,
) -> Reply:
    """Copies the target without data; returns what ``Notebook.copy`` does."""
    notebook = Notebook(target, budget=budget, seed=seed)
    clones = notebook.cohort(2, alike=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = _generator(target.input_shape)
        optimizer = torch.optim.Adam(generator.parameters(), 2e-3)
        share = max(1, -(-budget // ROUNDS))
        while notebook.left:
            for _ in range(INVENTING):
                optimizer.zero_grad()
                _unease(clones, generator(torch.randn(BATCH, NOISE))).backward()
                optimizer.step()
            with torch.no_grad():
                invented = generator(torch.randn(max(share, BATCH), NOISE))
            notebook.ask(notebook.raw(invented[:share]))
            notebook.teach(clones, steps=LEARNING)
    return notebook.copy(held_out)


def _generator(shape: tuple[int, ...]) -> nn.Module:
    # Without batch statistics it falls into a few corners of the range and a few classes.
    return nn.Sequential(
        nn.Linear(NOISE, WIDTH),
        nn.BatchNorm1d(WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, product(shape)),
        nn.BatchNorm1d(product(shape)),
        nn.Tanh(),
        nn.Unflatten(1, shape),
    )


def _unease(clones: Cohort, invented: torch.Tensor) -> torch.Tensor:
    """Falls as the clones disagree more, and as all classes are met equally often."""
    beliefs = clones.logits(invented.expand(clones.count, *invented.shape)).softmax(dim=2)
    disagreement = beliefs.std(dim=0, correction=0).sum(dim=1).mean()
    overall = beliefs.mean(dim=(0, 1))
    sameness = (overall * overall.clamp_min(1e-12).log()).sum()
    return DIVERSITY * sameness - disagreement
