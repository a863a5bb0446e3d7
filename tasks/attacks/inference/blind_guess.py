"""A guess at membership that never asks the model: what it finds is a difference between the sets.

Every attack must be held against it. If members and others can be told apart by what they are,
success of an attack says nothing about the model (distribution shift between the two sets).

Source: Das, Zhang and Tramèr 2024, arXiv 2406.16201 (blind baselines beat published attacks).
"""

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats

PROJECTED = 96
"""Wider items are projected at random to this many numbers."""
BENT = 192
"""Random rectified features beside the plain ones, which see differences of spread too."""
FOLDS = 5
PENALTY = 1.0


def blind_guess(inputs: Array, labels: Array, members: NDArray[np.bool_], *, seed: int) -> Floats:
    """Returns how much each item looks like a member, learnt from the other folds (items,).

    A ridge regression on the items, their labels and random bent features of both. Cost: none in
    queries; about (items * 300^2) multiplications for each fold.

    Args:
        inputs: Items (items, …), finite.
        labels: Classes (items,).
        members: What is to be guessed.
        seed: Seeds projection and folds.
    """
    rng = np.random.default_rng(seed)
    table = bent_features(inputs, labels, rng)
    fold = np.empty(len(members), dtype=np.int64)
    for group in (members, ~members):
        places = rng.permutation(np.flatnonzero(group))
        fold[places] = np.arange(len(places)) % FOLDS
    guesses = np.zeros(len(members))
    wanted = np.where(members, 1.0, -1.0)
    for part in range(FOLDS):
        known = fold != part
        gram = table[known].T @ table[known] + PENALTY * known.sum() / 100 * np.eye(table.shape[1])
        weights = np.linalg.solve(gram, table[known].T @ wanted[known])
        guesses[~known] = table[~known] @ weights
    return guesses


def bent_features(inputs: Array, labels: Array, rng: np.random.Generator) -> Floats:
    """Returns what a linear model can use of items and labels (items, columns), first a constant.

    All columns but the constant have mean 0 and spread 1.
    """
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    coarse = np.stack([flat.mean(axis=1), flat.std(axis=1), flat.min(axis=1), flat.max(axis=1)], 1)
    if flat.shape[1] > PROJECTED:
        flat = flat @ rng.normal(0, flat.shape[1] ** -0.5, (flat.shape[1], PROJECTED))
    kinds = np.unique(labels)
    hot = (labels[:, None] == kinds[None, :64]).astype(np.float64)
    plain = _scaled(np.concatenate([flat, coarse, hot], axis=1))
    width = plain.shape[1]
    turned = plain @ rng.normal(0, width**-0.5, (width, BENT)) + rng.normal(0, 1, BENT)
    bent = _scaled(np.maximum(turned, 0))
    return np.concatenate([np.ones((len(plain), 1)), plain, bent], axis=1)


def _scaled(columns: Floats) -> Floats:
    spread = columns.std(axis=0)
    scaled: Floats = (columns - columns.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)
    return scaled
