"""How large the smallest trigger from one class to another is against that of honest twins.

In every honest model some classes are near each other: a stroke turns a 4 into a 9. Twins of the
same architecture, trained on the same data without poison, have the same neighbours. A backdoor is
a pair that is near in the model in question and in no twin.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.backdoor.sizes import MAD_TO_DEVIATION

PairSizes = NDArray[np.float64]
"""(classes, classes), from row to column: part of the picture that the smallest working trigger
covers; NaN where it was not searched, as on the diagonal."""

SMALLEST_SPREAD = 0.2
"""Log units. Two honest twins with other starts differ by about this much."""
STANDS_OUT = 2.5
"""Hidden index from which a trigger is suspected; the largest of an honest model whose trigger
worked was 1.4 in the last calibration (README of this room)."""
PER_TRANSFER = 10.0
"""Each tenth of the twins' pictures that a trigger moves as well takes one off its index."""


class Scale(NamedTuple):
    """What the log ratio of twin to model is for an ordinary pair, and how it spreads."""

    centre: float
    spread: float


def log_ratios(sizes: PairSizes, references: NDArray[np.float64]) -> PairSizes:
    """Returns how much smaller each trigger is than the twins' (classes, classes), log units.

    Args:
        sizes: Of the model in question.
        references: Of its honest twins (twins, classes, classes); their logarithms are averaged.
    """
    ratios: PairSizes = np.log(references).mean(axis=0) - np.log(sizes)
    return ratios


def scale_of(ratios: PairSizes) -> Scale:
    """Returns centre and spread of the ordinary pairs.

    The spread is that of the lower half: a backdoor only ever makes triggers smaller, so it may
    widen the upper half (all pairs towards its target) and not this one.
    """
    known = ratios[np.isfinite(ratios)]
    centre = float(np.median(known))
    below = MAD_TO_DEVIATION * float(np.median(centre - known[known <= centre]))
    return Scale(centre, max(SMALLEST_SPREAD, below))


def pair_indices(ratios: PairSizes, scale: Scale) -> PairSizes:
    """Returns by how many spreads each trigger is smaller than the twins lead one to expect."""
    indices: PairSizes = (ratios - scale.centre) / scale.spread
    return indices


def hidden_indices(
    indices: NDArray[np.float64], transfer: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the indices less what honest twins show of the same trigger.

    What a model learnt from honest data other honest models learn too: a small natural trigger,
    shown to the twins, moves some of their pictures. A hidden one means nothing to them.

    Args:
        indices: Of triggers, see :func:`pair_indices`.
        transfer: Part of the twins' pictures that each trigger sends where it sends the model's.
    """
    hidden: NDArray[np.float64] = indices - PER_TRANSFER * transfer
    return hidden


def size_limit(references: NDArray[np.float64], scale: Scale, index: float) -> NDArray[np.float64]:
    """Returns the sizes at which triggers would have this index; 0 gives those to be expected."""
    expected = np.log(references).mean(axis=0) - scale.centre
    limits: NDArray[np.float64] = np.exp(expected - index * scale.spread)
    return limits


def most_odd(indices: PairSizes, count: int) -> list[tuple[int, int]]:
    """Returns the pairs (source, target) of the largest indices, largest first."""
    flat = np.where(np.isfinite(indices), indices, -np.inf).ravel()
    order = np.argsort(-flat, kind="stable")[:count]
    width = indices.shape[1]
    return [(int(at) // width, int(at) % width) for at in order if np.isfinite(flat[at])]


def most_odd_targets(indices: PairSizes, count: int) -> list[int]:
    """Returns the classes whose pairs as a target are oddest on average, oddest first."""
    known = np.isfinite(indices)
    means = np.where(known, indices, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    means[~known.any(axis=0)] = -np.inf
    order: list[int] = np.argsort(-means, kind="stable")[:count].tolist()
    return order
