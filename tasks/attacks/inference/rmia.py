"""RMIA: is the target surer of this item, against other models, than of other items?

Source: Zarifzadeh et al. 2024, arXiv 2312.03262, equations 5 (ratio), 8 (counting) and 10
(offline correction of the average).
"""

import numpy as np
from numpy.typing import NDArray

from tasks.statistics.intervals import Floats

GAMMA = 1.0
"""How much larger than another item's the ratio must be; the paper finds 1 to 2 alike."""
OFFLINE_SLOPE = 0.33
"""How much learning an item is expected to add; the paper's value where nothing can be tuned."""


def rmia(
    log_probability: Floats, shadows: Floats, members: NDArray[np.bool_], *, online: bool = True
) -> Floats:
    """Returns the share of the other items that the item's ratio exceeds (items,).

    Args:
        log_probability: The target's, of the right label (items,).
        shadows: The shadow models' (models, items).
        members: Which shadow model learnt which item.
        online: Average over models with and without the item; otherwise only those without.
    """
    outside = _average(shadows, ~members)
    if online:
        usual = (outside + _average(shadows, members)) / 2
    else:
        usual = ((1 + OFFLINE_SLOPE) * outside + (1 - OFFLINE_SLOPE)) / 2
    ratio = log_probability - np.log(np.maximum(usual, 1e-300))
    ordered = np.sort(ratio)
    beaten = np.searchsorted(ordered, ratio - np.log(GAMMA), side="left")
    # Equal shares are told apart by the ratio itself, which never changes the order.
    share: Floats = beaten / len(ratio) + 1e-9 * np.tanh(ratio)
    return share


def _average(shadows: Floats, counted: NDArray[np.bool_]) -> Floats:
    n = counted.sum(axis=0)
    if not n.all():
        raise ValueError("some items have no shadow model of the kind that is needed")
    average: Floats = np.where(counted, np.exp(shadows), 0).sum(axis=0) / n
    return average
