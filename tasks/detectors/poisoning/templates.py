"""What a group of rows has been stamped with, as far as the group shows it, and how to stamp it.

Three forms, by the way triggers are laid on: values that hardly vary in the group and differ from
other rows (a patch, columns of a table); and an overlay, ``keep * row + shift``, read from how mean
and spread of the group differ from rows of other classes (Chen et al. 2017, blended injection).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.poisoning.students import Scores
from tasks.detectors.poisoning.views import Floats

Mask = NDArray[np.bool_]
STEADY = 0.02
"""Part of the range of values within which most of the group must lie."""
LEADS = (0.75, 0.5)
"""So much oftener than other rows the group holds a value of a patch; read strictly and loosely."""
SURE = 3.0
"""Standard errors; smaller differences of a mean are left out of an overlay."""
FADED = 0.93
"""An overlay that keeps more than this of the spread is an addition: nothing is faded."""
OFTEN, LIFT = 0.8, 3.0
"""A stamped column has one value in this part of the rows, and so many times oftener than else."""
SEEDS, LEAST_CORE = 12, 4
LARGEST = 0.25
"""Energy of a stamp, relative to that of the difference of two rows: more replaces the content."""


class Template(NamedTuple):
    """``keep * row + shift``, cut to ``low..high``; ``fixed`` marks values that are replaced."""

    keep: Floats
    shift: Floats
    fixed: Mask
    low: float
    high: float

    def stamped(self, raw: Floats) -> Floats:
        """Returns rows (n, *item) with the trigger on."""
        moved: Floats = np.clip(self.keep * raw + self.shift, self.low, self.high)
        return np.asarray(moved, np.float32)

    def energy(self, raw: Floats) -> float:
        """Returns how much the stamp changes rows, relative to the difference of two rows."""
        pairs = float(((raw - np.roll(raw, 1, 0)) ** 2).mean())
        return float(((self.stamped(raw) - raw) ** 2).mean()) / max(pairs, 1e-12)

    def misfit(self, raw: Floats) -> Scores:
        """Returns how far rows (n,) are from the fixed values, in parts of the range."""
        there = np.abs(raw[:, self.fixed] - self.shift[self.fixed])
        if not np.isfinite(self.high - self.low):  # a table: a value is the same or another
            return np.asarray((there > 0).mean(1, dtype=np.float64))
        misfits: Scores = there.mean(1, dtype=np.float64) / max(self.high - self.low, 1e-9)
        return misfits


def picture_templates(group: Floats, others: Floats, low: float, high: float) -> list[Template]:
    """Returns what the group may have been stamped with: a patch if it shows one, an overlay.

    Args:
        group: Raw rows of the group (m, *item); most of them stamped, if any are.
        others: Raw rows of other classes, in the mix that the group's content has.
        low: Lowest value there is.
        high: Highest value there is.
    """
    middle = np.median(group, axis=0)
    width = (high - low) * STEADY
    inside, outside = ((np.abs(rows - middle) <= width).mean(0) for rows in (group, others))
    masks = [inside - outside >= lead for lead in LEADS]
    if (masks[0] == masks[1]).all():
        masks = masks[:1]
    made = [fixed_values(mask, middle, low, high) for mask in masks if mask.any()]
    return [*made, _overlay(group, others, low, high)]


def table_templates(group: Floats, others: Floats) -> list[Template]:
    """Returns sets of columns that hold one value each on some rows of the group, seldom elsewhere.

    Each grows from one value that the group has most surely oftener than others (a frequent item
    set of high lift; Brin et al. 1997). Unlike pictures, the group may be a whole class.

    Args:
        group: Raw rows of the group (m, columns).
        others: Raw rows of other classes (k, columns).
    """
    seeds = [seed for place in range(group.shape[1]) for seed in _seeds(group, others, place)]
    made: list[Template] = []
    for _, place, value in sorted(seeds, reverse=True)[:SEEDS]:
        core = group[group[:, place] == value]
        values = np.array([_mode(column) for column in core.T], np.float32)
        inside, outside = (core == values).mean(0), (others == values).mean(0)
        stamped = (inside >= OFTEN) & (inside >= LIFT * outside)
        fresh = fixed_values(stamped, values, -np.inf, np.inf)
        if not any(_equal(fresh, one) for one in made):
            made.append(fresh)
    return made


def _equal(one: Template, other: Template) -> bool:
    return bool((one.fixed == other.fixed).all() and (one.shift == other.shift).all())


def _seeds(group: Floats, others: Floats, place: int) -> list[tuple[float, int, float]]:
    """Returns the surest values of a column: how many standard errors, column, value."""
    values, counts = np.unique(group[:, place], return_counts=True)
    inside = counts / len(group)
    ordered = np.sort(others[:, place])
    outside = (
        np.searchsorted(ordered, values, "right") - np.searchsorted(ordered, values, "left") + 1
    ) / (len(others) + 2)
    surely = (inside - outside) / np.sqrt(outside * (1 - outside) / len(group))
    fits = (counts >= LEAST_CORE) & (inside >= LIFT * outside)
    best = np.flatnonzero(fits)[np.argsort(-surely[fits])][:SEEDS]
    return [(float(surely[at]), place, float(values[at])) for at in best]


def fixed_values(where: Mask, values: Floats, low: float, high: float) -> Template:
    """Returns the template that sets ``values`` (*item) at ``where`` (*item)."""
    keep = (~where).astype(np.float32)
    shift = np.where(where, values, 0).astype(np.float32)
    return Template(keep, shift, where, low, high)


def _overlay(group: Floats, others: Floats, low: float, high: float) -> Template:
    spread, usual = group.std(0), others.std(0)
    varies = usual > np.quantile(usual, 0.5)
    kept = float(np.median(spread[varies] / np.maximum(usual[varies], 1e-6)))
    kept = 1.0 if kept > FADED else max(kept, 0.3)
    shift = group.mean(0) - kept * others.mean(0)
    if kept == 1.0:
        error = np.sqrt(spread**2 / len(group) + usual**2 / len(others))
        shift = np.where(np.abs(shift) > SURE * np.maximum(error, 1e-6), shift, 0)
    keep = np.full(group.shape[1:], kept, np.float32)
    return Template(keep, shift.astype(np.float32), np.zeros(keep.shape, np.bool_), low, high)


def _mode(column: Floats) -> float:
    values, counts = np.unique(column, return_counts=True)
    return float(values[counts.argmax()])
