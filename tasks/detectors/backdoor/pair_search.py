"""Searches the smallest trigger of every pair of classes, all pairs in one batch.

Source: the mask and pattern of Wang et al. 2019 (Neural Cleanse), asked once per source and target;
Shen et al. 2021 (K-Arm), arXiv 2102.05123, for giving up early on most pairs when there are many.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from tasks.detectors.backdoor.inversion import Job, Pace, Pool, Shape, Triggers, invert, start
from tasks.detectors.backdoor.pair_sizes import PairSizes

Pair = tuple[int, int]
"""Source class and target class."""

COARSE = Pace(learning_rate=0.3, harder=1.4, works=0.9)
"""Hurried: a quarter of the descents rank the pairs as well as an unhurried search does."""
MOST_PAIRS = 132
"""Twelve classes have as many; of more, those go on that shrink most in the first descents."""
MOST_FIRST = 1056
"""So many pairs are tried at all; of more than 33 classes' pairs a random part."""
FIRST_PART = 3
"""One in so many descents is spent before most pairs of many are given up."""
JOBS_AT_ONCE = 132
LEAST_RIGHT = 8
"""Rows of a class that a model must read rightly; with fewer, all rows of the class are used."""


class Searched(NamedTuple):
    """A model that answers raw inputs, and the pictures it is searched with."""

    module: torch.nn.Module
    pool: Pool
    item: tuple[int, ...]
    bounds: tuple[float, float]


def rightly_read(module: torch.nn.Module, pool: Pool, classes: int) -> Pool:
    """Returns the rows that ``module`` reads rightly: a misread picture needs no trigger."""
    with torch.no_grad():
        right = module(pool.inputs).argmax(1) == pool.labels
    for label in range(classes):
        own = pool.labels == label
        if int((right & own).sum()) < LEAST_RIGHT:
            right |= own
    return Pool(pool.inputs[right], pool.labels[right])


def pairs_of(labels: Sequence[int], classes: int, *, seed: int) -> list[Pair]:
    """Returns the pairs to try: all, or a random part of very many."""
    present = sorted(set(labels))
    pairs = [(one, other) for one in present for other in range(classes) if one != other]
    if len(pairs) <= MOST_FIRST:
        return pairs
    chosen = np.random.default_rng(seed).choice(len(pairs), MOST_FIRST, replace=False)
    return [pairs[at] for at in sorted(chosen.tolist())]


def jobs_of(pairs: Sequence[Pair]) -> list[Job]:
    """Returns one search per pair."""
    return [Job(target, source) for source, target in pairs]


def promising(
    searched: Searched, pairs: Sequence[Pair], *, steps: int, batch: int, seed: int
) -> list[Pair]:
    """Returns the pairs worth a whole search: all of few, those that shrink most of many."""
    if len(pairs) <= MOST_PAIRS:
        return list(pairs)
    found = smallest(searched, jobs_of(pairs), steps=steps // FIRST_PART, batch=batch, seed=seed)
    kept = torch.argsort(found.sizes, stable=True)[:MOST_PAIRS].tolist()
    return [pairs[row] for row in sorted(kept)]


def smallest(
    searched: Searched,
    jobs: Sequence[Job],
    *,
    steps: int,
    batch: int,
    seed: int,
    begin: Triggers | None = None,
    limits: torch.Tensor | None = None,
    pace: Pace = COARSE,
) -> Triggers:
    """Returns one trigger per job; see ``inversion.invert``. Starts at random without ``begin``.

    Cost: steps * batch * jobs forwards and as many backwards.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for first in range(0, len(jobs), JOBS_AT_ONCE):
        rows = range(first, min(first + JOBS_AT_ONCE, len(jobs)))
        part = [jobs[row] for row in rows]
        if begin is None:
            origin = start(part, searched.item, Shape.PATCH, generator=generator)
        else:
            origin = begin.pick(rows)
        parts.append(
            invert(
                searched.module,
                searched.pool,
                part,
                origin,
                bounds=searched.bounds,
                steps=steps,
                batch=batch,
                generator=generator,
                limits=None if limits is None else limits[rows.start : rows.stop],
                pace=pace,
            )
        )
    return Triggers(*(torch.cat(values) for values in zip(*parts, strict=True)))


def as_matrix(pairs: Sequence[Pair], sizes: torch.Tensor, classes: int) -> PairSizes:
    """Returns sizes by source and target; NaN where no pair was searched."""
    table = np.full((classes, classes), np.nan)
    for (source, target), size in zip(pairs, sizes.tolist(), strict=True):
        table[source, target] = size
    return table
