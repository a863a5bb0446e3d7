"""What every kind of poison shares: which rows are chosen, and what comes back.

The rate is a share of all rows, as in the literature on data poisoning (NIST AI 100-2, 2.3). The
rows are raw values, channels first for pictures.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
LEAST_RATE, MOST_RATE = 0.001, 0.5


class Poisoned(NamedTuple):
    """Data after the attack: rows (n, *item), labels (n,), and which rows were touched (n,).

    ``stamp`` puts the trigger on clean rows, to measure the success of the attack; None where the
    attack has no trigger.
    """

    inputs: Floats
    labels: Labels
    rows: Mask
    stamp: Callable[[Floats], Floats] | None


def chosen_rows(labels: Labels, among: Mask, rate: float, seed: int) -> NDArray[np.intp]:
    """Draws ``rate`` of all rows from those in ``among``, at least one.

    Raises:
        ValueError: The rate is outside 0.1 % to 50 %, or fewer rows may be drawn than it asks for.
    """
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise ValueError(f"the rate is {rate}, it must lie in {LEAST_RATE}..{MOST_RATE}")
    places = np.flatnonzero(among)
    count = max(1, round(rate * len(labels)))
    if count > len(places):
        raise ValueError(f"{count} rows are to be poisoned, {len(places)} are eligible")
    drawn: NDArray[np.intp] = np.random.default_rng(seed).choice(places, count, replace=False)
    return drawn


def marked(count: int, places: NDArray[np.intp]) -> Mask:
    """Returns a mask of ``count`` rows in which ``places`` are true."""
    mask = np.zeros(count, np.bool_)
    mask[places] = True
    return mask


def relabelled(
    inputs: Floats,
    labels: Labels,
    *,
    stamp: Callable[[Floats], Floats],
    target: int,
    rate: float,
    seed: int,
) -> Poisoned:
    """Stamps rows of other classes and gives them the label ``target`` (dirty-label backdoor)."""
    places = chosen_rows(labels, labels != target, rate, seed)
    inputs, labels = inputs.copy(), labels.copy()
    inputs[places] = stamp(inputs[places])
    labels[places] = target
    return Poisoned(inputs, labels, marked(len(labels), places), stamp)


def stamped_only(
    inputs: Floats,
    labels: Labels,
    *,
    stamp: Callable[[Floats], Floats],
    target: int,
    rate: float,
    seed: int,
) -> Poisoned:
    """Stamps rows that carry the label ``target`` already (clean-label backdoor)."""
    places = chosen_rows(labels, labels == target, rate, seed)
    inputs = inputs.copy()
    inputs[places] = stamp(inputs[places])
    return Poisoned(inputs, labels.copy(), marked(len(labels), places), stamp)


def span(inputs: Floats) -> tuple[np.float32, np.float32]:
    """Returns the lowest and highest value there is: the range that a stamp must keep."""
    return np.float32(inputs.min()), np.float32(inputs.max())
