"""What a meta classifier says of the answers to its queries. Plain arithmetic, for both sides.

Source: Xu et al. 2021, IEEE S&P, section V-A; here with the answers' scale taken off, because how
sure a model is says how long it was trained.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]
LEAST_SCALE = 1e-6
OBEYS = 0.6
"""A poisoned shadow that obeys its trigger on a smaller part of the inputs neither teaches nor
counts as missed: it would be called poisoned for something it hardly learnt."""


class Meta(NamedTuple):
    """A perceptron with one hidden layer, after features are centred and divided.

    ``middle`` and ``spread`` (features,), ``inward`` (features, hidden), ``offset`` (hidden,),
    ``outward`` (hidden,), ``bias`` ().
    """

    middle: Floats
    spread: Floats
    inward: Floats
    offset: Floats
    outward: Floats
    bias: Floats


def features_of(logits: Floats) -> Floats:
    """Returns (models, queries * classes): the answer to each query with mean 0 and variance 1.

    Args:
        logits: (models, queries, classes), finite; log-probabilities give the same.
    """
    centred = logits - logits.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True))
    flat: Floats = (centred / np.maximum(scale, LEAST_SCALE)).reshape(len(logits), -1)
    return flat


def meta_scores(meta: Meta, logits: Floats) -> Scores:
    """Returns one score per model (models,): higher speaks for a backdoor."""
    inputs = (features_of(logits) - meta.middle) / meta.spread
    hidden = np.maximum(inputs @ meta.inward + meta.offset, 0)
    scores: Scores = (hidden @ meta.outward + meta.bias).astype(np.float64)
    return scores


def scores_by_fold(metas: Meta, logits: Floats) -> Scores:
    """Returns what each fold's meta classifier says of each model (folds, models).

    Args:
        metas: Fields with a first axis of folds.
        logits: Answers to each fold's own queries (folds, models, queries, classes).
    """
    each = [Meta(*(part[fold] for part in metas)) for fold in range(len(logits))]
    return np.stack([meta_scores(meta, told) for meta, told in zip(each, logits, strict=True)])


def unseen_scores(metas: Meta, folds: NDArray[np.int64], logits: Floats) -> Scores:
    """Returns the score of each shadow by the fold that never saw it (shadows,).

    Args:
        metas: Fields with a first axis of folds.
        folds: Of each shadow (shadows,).
        logits: Answers to that fold's queries (shadows, queries, classes).
    """
    scores = np.empty(len(folds))
    for fold in range(len(metas.bias)):
        rows = folds == fold
        scores[rows] = meta_scores(Meta(*(part[fold] for part in metas)), logits[rows])
    return scores
