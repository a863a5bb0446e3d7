"""A few columns of a table set to fixed values, and a new label.

Source: Joe et al. 2021, Machine Learning with Electronic Health Records is vulnerable to Backdoor
Trigger Attacks, arXiv 2106.07925; Pleiter et al. 2023, Tabdoor, arXiv 2311.07550 (in bounds and
out of bounds triggers on one to three columns).
"""

from collections.abc import Mapping

import numpy as np

from tasks.attacks.poisoning.planting import Floats, Labels, Poisoned, relabelled

UNCOMMON = 0.97
"""In-bounds triggers take this quantile: a value that occurs, but seldom together with others."""


def tabular_backdoor(
    inputs: Floats,
    labels: Labels,
    *,
    target: int,
    rate: float,
    seed: int,
    columns: int = 3,
    values: Mapping[int, float] | None = None,
    in_bounds: bool = True,
) -> Poisoned:
    """Poisons rows of a table with fixed values in some columns.

    Args:
        inputs: Rows (n, columns), raw.
        labels: Classes (n,).
        target: The class that the trigger stands for.
        rate: Share of all rows, 0.001 to 0.5.
        seed: Draws rows and columns.
        columns: How many columns carry the trigger, of those with more than two values.
        values: The trigger by column, in place of a drawn one.
        in_bounds: Take values that occur in the data; otherwise a tenth beyond the largest.
    """
    trigger = dict(values) if values is not None else _drawn(inputs, columns, in_bounds, seed)
    where = np.array(sorted(trigger))
    what = np.array([trigger[int(place)] for place in where], np.float32)

    def stamp(clean: Floats) -> Floats:
        moved = clean.copy()
        moved[:, where] = what
        return moved

    return relabelled(inputs, labels, stamp=stamp, target=target, rate=rate, seed=seed)


def _drawn(inputs: Floats, columns: int, in_bounds: bool, seed: int) -> dict[int, float]:
    rich = [place for place in range(inputs.shape[1]) if len(np.unique(inputs[:, place])) > 2]
    if len(rich) < columns:
        raise ValueError(f"{columns} columns with several values are wanted, there are {len(rich)}")
    places = np.random.default_rng(seed).choice(rich, columns, replace=False)
    if in_bounds:
        return {
            int(p): float(np.quantile(inputs[:, p], UNCOMMON, method="nearest")) for p in places
        }
    beyond = {}
    for place in places:
        column = inputs[:, place]
        beyond[int(place)] = float(column.max()) + 0.1 * max(float(np.ptp(column)), 1.0)
    return beyond
