"""Rows of both sets beside each other, and which of them are twins: equal, or nearly so."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.checks.lab import Examples
from tasks.detectors.data.near import groups_of, near_pairs, scaled, turned
from tasks.detectors.data.profile import fingerprints
from tasks.detectors.data.texts import Signatures, resembling
from tasks.sandbox.protocol import Array

ROLES = ("training", "evaluation")
CONTROLS = 100
MANY_VALUES = 256
"""Flat rows of so many numbers are pictures whose shape nobody told."""
CLOSE_PICTURES = 0.12
"""Sine of about 7 degrees between pictures as directions: they correlate at 0.993 or more."""
CLOSE_ROWS = 0.01
"""Root mean square difference over the columns, in standard deviations."""
CLOSE_TEXTS = 0.7
"""Share of shingles that both texts have."""
Groups = NDArray[np.int64]


class Rows(NamedTuple):
    """Rows of all sets, one set after the other."""

    sides: NDArray[np.int64]
    """For each row, which of :data:`ROLES` it is of."""
    labels: NDArray[np.int64]
    marks: Array
    """Equal rows have equal ones."""


class Near(NamedTuple):
    """Which rows are in one group, and how often the same search found what was planted."""

    groups: Groups
    kind: str
    planted: int
    accused: int
    controls: int


def of_examples(sets: Mapping[str, Examples]) -> Rows:
    """Puts decoded items beside each other."""
    return Rows(
        np.concatenate([np.full(len(s.labels), ROLES.index(r)) for r, s in sets.items()]),
        np.unique(np.concatenate([s.labels for s in sets.values()]), return_inverse=True)[
            1
        ].ravel(),
        np.concatenate([fingerprints(s.inputs) for s in sets.values()]),
    )


def _classes(labels: Array) -> NDArray[np.int64]:
    """Returns class numbers; values that were measured contradict nothing, so they are all one."""
    return labels.astype(np.int64) if labels.dtype.kind in "iu" else np.zeros(len(labels), np.int64)


def equal_groups(rows: Rows) -> Groups:
    """Returns the number of each row's group: equal rows share one."""
    found: Groups = np.unique(rows.marks, return_inverse=True)[1].ravel()
    return found


def near_numbers(inputs: Array, marks: Array, *, seed: int) -> Near:
    """Searches items (n, …) for near twins, with planted ones and innocents among them.

    Of equal items, which share their mark, one is looked at.
    """
    rng = np.random.default_rng(seed)
    _, first, place = np.unique(marks, return_index=True, return_inverse=True)
    inputs = inputs[first]
    pictures = inputs.ndim > 2 or inputs.shape[1] >= MANY_VALUES
    flat = turned(inputs) if pictures else scaled(inputs)
    chosen = flat[rng.permutation(len(flat))[:CONTROLS]]
    closest = CLOSE_PICTURES if pictures else CLOSE_ROWS
    # Half of what is allowed: a little noise, as a camera, a codec or rounding adds it.
    noise = rng.standard_normal(chosen.shape).astype(np.float32)
    noise *= 0.5 * closest / np.linalg.norm(noise, axis=1, keepdims=True)
    planted = chosen + noise
    together = np.concatenate([flat, planted, _innocent(chosen, rng, pictures=pictures)])
    pairs = near_pairs(together, closest=closest, seed=seed)
    near = _split(pairs, len(flat), len(chosen), "pictures" if pictures else "rows")
    return near._replace(groups=near.groups[place.ravel()])


def near_texts(signed: Signatures, planted: Signatures, innocent: Signatures) -> Near:
    """Searches texts for near twins, with planted ones and innocents among them."""
    together = np.concatenate([signed, planted, innocent])
    pairs = resembling(together, least=CLOSE_TEXTS)
    return _split(pairs, len(signed), len(planted), "texts")


def _innocent(chosen: Array, rng: np.random.Generator, *, pictures: bool) -> Array:
    """Returns rows that repeat none: two pictures at once; a table's values drawn by column."""
    if not pictures:
        return np.stack([rng.permutation(column) for column in chosen.T], axis=1)
    both = chosen + np.roll(chosen, 1, axis=0)
    found: Array = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-6)
    return found


def _split(pairs: NDArray[np.int64], rows: int, controls: int, kind: str) -> Near:
    """Counts controls that were paired with a row, and groups the rows alone."""
    with_row = pairs[pairs[:, 0] < rows]
    hit = np.unique(with_row[:, 1])
    own = with_row[with_row[:, 1] < rows]
    return Near(
        groups_of(own, rows),
        kind,
        planted=int(((hit >= rows) & (hit < rows + controls)).sum()),
        accused=int((hit >= rows + controls).sum()),
        controls=controls,
    )
