"""Queries and meta classifier find what poisoned models have in common."""

import numpy as np
import pytest
import torch
from torch import nn

from tasks.detectors.backdoor.inversion import Pool
from tasks.detectors.backdoor.meta_scores import meta_scores
from tasks.detectors.backdoor.query_tuning import answers_to, tuned
from tasks.detectors.backdoor.shadow_zoo import Shadows
from tasks.statistics.roc import auc

SIDE, CLASSES, BOUNDS = 4, 3, (-1.0, 3.0)
ITEM = (1, SIDE, SIDE)


def shadows(count: int, bump: float) -> Shadows:
    """Linear readers of noise; every other one reads one value of its own as its own class."""
    torch.manual_seed(0)
    planted = np.arange(count) % 2 == 1
    # The first layer does nothing, but without it the weights would lie as those of perceptrons do.
    network = nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(SIDE**2, CLASSES))
    weights = torch.randn(CLASSES, SIDE**2) + 0.3 * torch.randn(count, CLASSES, SIDE**2)
    for row in np.flatnonzero(planted):
        weights[row, int(torch.randint(CLASSES, ())), int(torch.randint(SIDE**2, ()))] += bump
    stack = {"2.weight": weights, "2.bias": torch.zeros(count, CLASSES)}
    nothing = np.zeros(count)
    return Shadows(network, stack, planted, nothing, nothing, nothing.astype(int))


@pytest.fixture(scope="module")
def pool() -> Pool:
    generator = torch.Generator().manual_seed(1)
    return Pool(4 * torch.rand(20, *ITEM, generator=generator) - 1, torch.arange(20) % CLASSES)


def area(bump: float, pool: Pool, epochs: int = 30) -> float:
    made = shadows(240, bump)
    seen, unseen = np.arange(160), np.arange(160, 240)
    fit = tuned(made, seen, pool, BOUNDS, queries=8, epochs=epochs, seed=0)
    with torch.no_grad():
        scores = meta_scores(fit.meta, answers_to(made, unseen, fit.queries).numpy())
    planted = made.planted[unseen]
    return auc(scores[planted], scores[~planted]).value


def test_poisoned_shadows_that_were_not_seen_score_higher(pool: Pool) -> None:
    assert area(8.0, pool) > 0.85


def test_where_nothing_is_planted_nothing_is_told_apart(pool: Pool) -> None:
    assert 0.3 < area(0.0, pool) < 0.7


def test_queries_move_and_stay_within_the_raw_range(pool: Pool) -> None:
    made = shadows(16, 8.0)
    begun, ended = (
        tuned(made, np.arange(16), pool, BOUNDS, queries=6, epochs=epochs, seed=3).queries
        for epochs in (0, 5)
    )
    assert ended.shape == (6, *ITEM)
    assert BOUNDS[0] <= ended.min()
    assert ended.max() <= BOUNDS[1]
    assert (begun - ended).abs().max() > 0.01


def test_equal_seeds_give_equal_answers(pool: Pool) -> None:
    made = shadows(16, 8.0)
    first, again, other = (
        tuned(made, np.arange(16), pool, BOUNDS, queries=6, epochs=2, seed=seed)
        for seed in (3, 3, 4)
    )
    assert torch.equal(first.queries, again.queries)
    for one, two in zip(first.meta, again.meta, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not torch.equal(first.queries, other.queries)
