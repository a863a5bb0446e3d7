"""Membership without shadow models: is the model surer of an item than such items let expect?

A regression on people who surely are no members predicts where the target's confidence lies for an
item like this one, and how far it strays. Who is surer than that by many spreads looks like a
member. Costs one pass over the audit set and no training of networks, so it can run every night.

Source: Bertran et al. 2023, arXiv 2307.03694 (section 3; the variant with a normal distribution
whose mean and spread depend on the item).
"""

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.inference.blind_guess import bent_features
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats

FOLDS = 5
PENALTIES = 10.0 ** np.arange(0, 5.5, 0.5)
"""Of the ridge, beside columns of spread 1; which one is found by cross-validation."""
LOG_CHI = -0.635
"""Mean of log |z| of a standard normal z; what is regressed is log |residual|."""
NARROWEST, WIDEST = 0.2, 5.0
"""How far a predicted spread may lie from the common one, as a factor."""


def quantile_regression(
    confidence: Floats, inputs: Array, labels: Array, others: NDArray[np.bool_], *, seed: int
) -> Floats:
    """Returns by how many spreads each item is surer than expected of a non-member (items,).

    Args:
        confidence: Of the target (items,), see ``signals.confidence``.
        inputs: Items (items, …), finite.
        labels: Classes (items,).
        others: Who is known to be no member. Nobody is predicted from themselves: items come in
            folds, and each fold is predicted from the others of the remaining folds.
        seed: Seeds features and folds.
    """
    rng = np.random.default_rng(seed)
    table = bent_features(inputs, labels, rng)
    fold = np.empty(len(labels), dtype=np.int64)
    for group in (others, ~others):
        places = rng.permutation(np.flatnonzero(group))
        fold[places] = np.arange(len(places)) % FOLDS
    excess = np.empty(len(labels))
    for part in range(FOLDS):
        known, asked = others & (fold != part), fold == part
        centre = _ridge(table[known], confidence[known])
        strayed = np.abs(confidence[known] - table[known] @ centre)
        common = max(float(np.sqrt(np.mean(strayed**2))), 1e-9)
        logs = np.log(np.maximum(strayed, 1e-3 * common)) - LOG_CHI
        spread = np.exp(table[asked] @ _ridge(table[known], logs))
        spread = np.clip(spread, NARROWEST * common, WIDEST * common)
        excess[asked] = (confidence[asked] - table[asked] @ centre) / spread
    return excess


def _ridge(table: Floats, wanted: Floats) -> Floats:
    """Returns the weights of a ridge regression; the penalty is the one that predicts best.

    Source: Golub, Heath and Wahba 1979, Technometrics 21, 215-223 (generalised cross-validation).
    """
    rows, middle = len(table), float(wanted.mean())
    means = table[:, 1:].mean(axis=0)
    left, sizes, right = np.linalg.svd(table[:, 1:] - means, full_matrices=False)
    along = left.T @ (wanted - middle)
    kept = sizes**2 / (sizes**2 + PENALTIES[:, None])
    # What lies outside the columns' span stays unexplained under every penalty.
    outside = float(np.sum((wanted - middle) ** 2) - np.sum(along**2))
    unexplained = ((1 - kept) ** 2 @ along**2 + outside) / rows
    score = unexplained / np.maximum(1 - (1 + kept.sum(axis=1)) / rows, 1e-3) ** 2
    best = kept[int(np.argmin(score))]
    sure = np.where(sizes > 1e-9, sizes, np.inf)
    slopes = right.T @ (best * along / sure)
    constant = middle - float(means @ slopes)
    weights: Floats = np.concatenate([[constant], slopes])
    return weights
