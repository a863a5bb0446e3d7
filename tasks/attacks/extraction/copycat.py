"""Copycat: asks about inputs of no class at all, and learns from the labels alone.

Source: Correia-Silva et al. 2018, arXiv 1806.05476. For a thief who has no data of the model's
domain: the pool is used only to be distorted until it is none of it.
"""

from tasks.attacks.extraction.knockoff import queries
from tasks.attacks.extraction.notebook import Notebook
from tasks.attacks.extraction.strangers import strangers
from tasks.sandbox.protocol import Reply
from tasks.targets.protocol import Images, Labels, Target


def copycat(
    target: Target,
    *,
    pool: Images,
    labels: Labels,  # noqa: ARG001 - every strategy is offered the same
    held_out: Images,
    budget: int,
    seed: int = 0,
) -> Reply:
    """Copies the target by labels of strange inputs; returns what ``Notebook.copy`` does."""
    notebook = Notebook(target, budget=budget, labels_only=True, seed=seed)
    natural = queries(pool, budget, target.bounds, seed=seed)
    notebook.ask(strangers(natural, target.bounds, seed=seed))
    return notebook.copy(held_out)
