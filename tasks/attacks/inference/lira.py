"""The likelihood ratio attack: was this confidence drawn from models that saw the item, or not?

Source: Carlini et al. 2022, arXiv 2112.03570, algorithm 1 (online) and section 4.3 (offline).
Confidences are those of ``signals.confidence``, which are close to normal over models.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tasks.statistics.intervals import Floats

FEW_MODELS = 64
"""With fewer models, one spread for all items is better than each item's own (section 5.2)."""
SMALLEST_SPREAD = 1e-6


def online(confidence: Floats, shadows: Floats, members: NDArray[np.bool_]) -> Floats:
    """Returns the logarithm of the likelihood ratio of in against out (items,).

    Args:
        confidence: Of the target (items,).
        shadows: Of the shadow models (models, items).
        members: Which shadow model learnt which item; every item needs both kinds.
    """
    inside, outside = moments(shadows, members), moments(shadows, ~members)
    shared = len(shadows) < FEW_MODELS
    ratio: Floats = _log_normal(confidence, *inside, shared) - _log_normal(
        confidence, *outside, shared
    )
    return ratio


def offline(confidence: Floats, shadows: Floats, members: NDArray[np.bool_]) -> Floats:
    """Returns how far the confidence lies above what models without the item answer (items,).

    Needs no model that was trained on the item, so shadows can be made before the item is known.
    """
    mean, spread = moments(shadows, ~members)
    if len(shadows) < FEW_MODELS:
        spread = np.full_like(spread, np.sqrt(np.mean(spread**2)))
    far: Floats = special.log_ndtr((confidence - mean) / np.maximum(spread, SMALLEST_SPREAD))
    # Beyond six spreads the probability is 1 in floats; the distance itself keeps the order.
    distance = (confidence - mean) / np.maximum(spread, SMALLEST_SPREAD)
    return np.where(distance > 6, distance, far)


def moments(shadows: Floats, counted: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Returns mean and standard deviation over the counted models, item by item (items,) each.

    Raises:
        ValueError: An item has no counted model.
    """
    n = counted.sum(axis=0)
    if not n.all():
        raise ValueError("some items have no shadow model of the kind that is needed")
    mean = np.where(counted, shadows, 0).sum(axis=0) / n
    squares = np.where(counted, (shadows - mean) ** 2, 0).sum(axis=0)
    return mean, np.sqrt(squares / np.maximum(n - 1, 1))


def _log_normal(values: Floats, mean: Floats, spread: Floats, shared: bool) -> Floats:
    used = np.full_like(spread, np.sqrt(np.mean(spread**2))) if shared else spread
    used = np.maximum(used, SMALLEST_SPREAD)
    logs: Floats = -np.log(used) - ((values - mean) / used) ** 2 / 2
    return logs
