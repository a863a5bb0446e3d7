"""What a model's answer says about whether it was trained on an item: one number per item.

Every signal is higher for items that look more like members. Numpy only: the trusted side computes
them itself, from scores that came out of the sandbox.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tasks.sandbox.protocol import Array

Floats = NDArray[np.float64]
SMALLEST = 1e-30
"""Probabilities below this are taken as this; float32 scores hold little less."""


def log_probabilities(scores: Array) -> Floats:
    """Returns the logarithm of softmax of logits or log-probabilities (…, classes)."""
    logs: Floats = special.log_softmax(scores.astype(np.float64), axis=-1)
    return np.maximum(logs, np.log(SMALLEST))


def correctness(scores: Array, labels: Array) -> Floats:
    """Returns 1 where the label is predicted, else 0 (the gap attack: needs labels only)."""
    right: Floats = (scores.argmax(axis=-1) == labels).astype(np.float64)
    return right


def loss(scores: Array, labels: Array) -> Floats:
    """Returns minus the cross-entropy. Source: Yeom et al. 2018, arXiv 1709.01604, section 3."""
    return _of_label(log_probabilities(scores), labels)


def modified_entropy(scores: Array, labels: Array) -> Floats:
    """Returns minus the entropy that knows the label; 0 for a sure and right answer.

    Source: Song and Mittal 2021, arXiv 2003.10595, equation 6.
    """
    logs = log_probabilities(scores)
    shares = np.exp(logs)
    # log(1 - p), exact near p = 1 because 1 - p is what rounding eats there.
    rest = np.log(np.maximum(-np.expm1(np.minimum(logs, 0)), SMALLEST))
    terms = shares * rest
    own = _of_label(logs, labels)
    others = terms.sum(axis=-1) - _of_label(terms, labels)
    signal: Floats = (1 - np.exp(own)) * own + others
    return signal


def confidence(scores: Array, labels: Array) -> Floats:
    """Returns log(p / (1 - p)) of the label, which is close to normal over models.

    Source: Carlini et al. 2022, arXiv 2112.03570, section 4 (stable logit scaling).
    """
    logs = log_probabilities(scores)
    own = _of_label(logs, labels)
    masked = logs.copy()
    np.put_along_axis(masked, _columns(labels, logs.ndim), -np.inf, axis=-1)
    signal: Floats = own - np.maximum(special.logsumexp(masked, axis=-1), np.log(SMALLEST))
    return signal


def calibrated(
    scores: Array, labels: Array, shadow_scores: Array, members: NDArray[np.bool_]
) -> Floats:
    """Returns the confidence minus what models that never saw the item have on average.

    An item that every model finds easy says little about membership; one that only the target
    finds easy says much.

    Source: Watson et al. 2022, arXiv 2111.08440 (difficulty calibration), on the scale of LiRA.

    Args:
        scores: Of the target (items, classes).
        labels: True classes (items,).
        shadow_scores: Of the shadow models (models, items, classes).
        members: Which shadow model was trained on which item (models, items); every item must be
            left out by one model at least.
    """
    spread = np.broadcast_to(labels, shadow_scores.shape[:2])
    outside = np.where(members, 0.0, confidence(shadow_scores, spread))
    difficulty = outside.sum(axis=0) / (~members).sum(axis=0)
    signal: Floats = confidence(scores, labels) - difficulty
    return signal


def aligned(signal: Floats, shadows: Floats) -> Floats:
    """Returns the target's signal on the scale of its shadow models (items,), order kept.

    A target that was trained longer or otherwise than its shadows is surer of everything. Its
    values take the places that values of equal rank have among the shadows; that needs nobody's
    membership, and changes nothing where target and shadows are alike.

    Args:
        signal: Of the target (items,); as many items are members as for each shadow model.
        shadows: Of the shadow models (models, items).
    """
    ordered = np.sort(signal)
    ranks = np.searchsorted(ordered, signal, "left") + np.searchsorted(ordered, signal, "right")
    placed: Floats = np.quantile(shadows, ranks / (2 * len(signal)))
    return placed


def halves(models: int, items: int, *, seed: int) -> NDArray[np.bool_]:
    """Draws which shadow model learns which items: (models, items).

    Models come in pairs that share the items out, so that each item is learnt by exactly half of
    the models and each model learns half of the items.

    Raises:
        ValueError: The number of models is not even.
    """
    if models % 2:
        raise ValueError(f"{models} shadow models do not come in pairs")
    rng = np.random.default_rng(seed)
    members = np.zeros((models, items), dtype=np.bool_)
    for pair in range(0, models, 2):
        members[pair, rng.permutation(items)[: items // 2]] = True
        members[pair + 1] = ~members[pair]
    return members


def pairs_drawn(models: int, times: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yields draws of models with replacement, pair by pair: partners share the items out."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        drawn = rng.integers(0, models // 2, models // 2)
        yield np.concatenate([2 * drawn, 2 * drawn + 1])


def _of_label(values: Floats, labels: Array) -> Floats:
    picked: Floats = np.take_along_axis(values, _columns(labels, values.ndim), axis=-1)[..., 0]
    return picked


def _columns(labels: Array, dimensions: int) -> NDArray[np.int64]:
    return labels.astype(np.int64).reshape(labels.shape + (1,) * (dimensions - labels.ndim))
