"""The search per pair, on a model whose answer is known: it reads the brightest of four corners."""

import numpy as np
import pytest
import torch

from tasks.detectors.backdoor import pair_search
from tasks.detectors.backdoor.inversion import Pool
from tasks.detectors.backdoor.pair_search import (
    LEAST_RIGHT,
    Searched,
    as_matrix,
    jobs_of,
    pairs_of,
    promising,
    rightly_read,
    smallest,
)
from tests.tasks.detectors.backdoor.test_inversion import BOUNDS, Corners, pool

__all__ = ["pool"]  # a fixture

ITEM = (1, 6, 6)


class OneToOne(Corners):
    """Pixel (2, 2) turns corner 0 into corner 3, and nothing else."""

    def __init__(self) -> None:
        super().__init__(hidden=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores = super().forward(inputs)
        on = inputs[:, 0, 2, 2].clamp(0, 1) * (scores.argmax(1) == 0)
        push = torch.zeros_like(scores)
        push[:, 3] = 12
        return scores + on[:, None] * push


def matrix(model: torch.nn.Module, pool: Pool) -> np.ndarray:
    pairs = pairs_of(pool.labels.tolist(), 4, seed=0)
    searched = Searched(model, pool, ITEM, BOUNDS)
    found = smallest(searched, jobs_of(pairs), steps=80, batch=4, seed=1)
    return as_matrix(pairs, found.sizes, 4)


def test_the_hidden_pixel_is_the_smallest_trigger_of_its_pair_and_of_no_other(pool: Pool) -> None:
    hidden, plain = matrix(OneToOne(), pool), matrix(Corners(hidden=False), pool)
    ratios = np.log(plain) - np.log(hidden)
    assert int(np.nanargmax(ratios)) == 3  # row 0, column 3
    assert ratios[0, 3] > 1
    assert np.nanmax(np.abs(np.delete(ratios.ravel(), 3))) < 0.7


def test_of_many_pairs_those_go_on_that_shrink_first(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_search, "MOST_PAIRS", 3)
    searched = Searched(OneToOne(), pool, ITEM, BOUNDS)
    pairs = pairs_of(pool.labels.tolist(), 4, seed=0)
    kept = promising(searched, pairs, steps=120, batch=4, seed=1)
    assert len(kept) == 3
    assert (0, 3) in kept


def test_of_very_many_pairs_a_random_part_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_search, "MOST_FIRST", 5)
    first, other = (pairs_of([0, 1, 2, 3], 4, seed=seed) for seed in (0, 1))
    assert len(set(first)) == 5
    assert first != other
    assert pairs_of([0, 0, 2], 3, seed=0) == [(0, 1), (0, 2), (2, 0), (2, 1)]


def test_misread_pictures_are_left_out_unless_a_class_has_too_few(pool: Pool) -> None:
    labels = pool.labels.clone()
    labels[(labels == 1) & (torch.arange(80) >= 4 * LEAST_RIGHT)] = 2  # read as 1, called 2
    labels[labels == 3] = 0  # no picture of class 0 called 3 is read so
    kept = rightly_read(Corners(hidden=False), Pool(pool.inputs, labels), 4)
    assert (kept.labels == 1).sum() == LEAST_RIGHT
    assert (kept.labels == 2).sum() == 20
    few = Pool(pool.inputs[:8], torch.full((8,), 2))  # two of eight are read rightly
    assert len(rightly_read(Corners(hidden=False), few, 4).labels) == 8
