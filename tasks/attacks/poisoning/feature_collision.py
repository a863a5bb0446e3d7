"""Rows of one class moved a little towards one row of another; every label stays right.

A cheap form of Poison Frogs (Shafahi et al. 2018, arXiv 1804.00792, section 2.2): the collision is
in the inputs, by the watermark of section 4.2, and so needs no network.
"""

import numpy as np

from tasks.attacks.poisoning.planting import Floats, Labels, Poisoned, chosen_rows, marked


def feature_collision(
    inputs: Floats,
    labels: Labels,
    *,
    victim: Floats,
    target: int,
    rate: float,
    seed: int,
    opacity: float = 0.3,
) -> Poisoned:
    """Blends one victim row into rows that are labelled ``target`` and stay so.

    Args:
        inputs: Rows (n, *item), raw.
        labels: Classes (n,).
        victim: The row (*item,) that the model is to misread later.
        target: The class that it is to be taken for.
        rate: Share of all rows, 0.001 to 0.5; at most the share of ``target``.
        seed: Draws the rows.
        opacity: Weight of the victim, between 0 and 1.
    """
    if not 0 < opacity < 1:
        raise ValueError(f"the opacity is {opacity}, it must lie between 0 and 1")
    places = chosen_rows(labels, labels == target, rate, seed)
    weight = np.float32(opacity)
    moved = inputs.copy()
    moved[places] = (1 - weight) * inputs[places] + weight * victim
    return Poisoned(moved, labels.copy(), marked(len(labels), places), None)
