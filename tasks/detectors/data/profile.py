"""One row of plain numbers for each labelled item: what the data rules look at.

Images and tables become the same small table, so the rules do not depend on the kind of input.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from tasks.sandbox.protocol import Array

TABULAR_COLUMNS = 200
"""Flat inputs of at most this many values are also looked at column by column."""


def profile(
    inputs: Array, labels: Array, other: NDArray[np.int64] | None = None
) -> dict[str, Array]:
    """Returns the table, column by column; every column has shape (rows,).

    Args:
        inputs: Items (rows, …), raw values; may hold NaN.
        labels: One label per item (rows,).
        other: Fingerprints of another set, to find items that lie in both.

    Columns: ``broken`` values that are NaN or infinite; ``lowest``, ``highest`` and ``spread`` of
    the finite values; ``copies`` is 1 when an earlier item is identical; ``contradicted`` is 1
    when an identical item has another label; ``shared`` is 1 when the item lies in ``other``;
    ``label``; ``label_share`` is the share of items with the same label; and ``x0``, ``x1`` …
    for small flat inputs.
    """
    flat = inputs.reshape(len(inputs), -1)
    finite = np.isfinite(flat)
    lowest = np.where(finite, flat, np.inf).min(axis=1)
    highest = np.where(finite, flat, -np.inf).max(axis=1)
    some = finite.any(axis=1)
    marks = fingerprints(inputs)
    table: dict[str, Array] = {
        "broken": (~finite).sum(axis=1),
        "lowest": np.where(some, lowest, 0).astype(np.float64),
        "highest": np.where(some, highest, 0).astype(np.float64),
        "copies": _copies(marks),
        "contradicted": _contradicted(marks, labels),
        "shared": np.isin(marks, other).astype(np.int64) if other is not None else 0 * marks,
        "label": labels,
        "label_share": _shares(labels),
    }
    table["spread"] = table["highest"] - table["lowest"]
    if inputs.ndim == 2 and flat.shape[1] <= TABULAR_COLUMNS:
        table |= {f"x{index}": flat[:, index] for index in range(flat.shape[1])}
    return table


def fingerprints(inputs: Array) -> NDArray[np.int64]:
    """Returns 64 bits of BLAKE2b of each item (rows,); equal items have equal fingerprints."""
    # Adding zero makes minus zero plain zero: they are the same input to a model.
    rows = np.ascontiguousarray(inputs.reshape(len(inputs), -1)) + 0
    marks = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return np.frombuffer(marks, dtype="<i8").astype(np.int64)


def _copies(marks: NDArray[np.int64]) -> NDArray[np.int64]:
    first = np.unique(marks, return_index=True)[1]
    copies = np.ones(len(marks), dtype=np.int64)
    copies[first] = 0
    return copies


def _contradicted(marks: NDArray[np.int64], labels: Array) -> NDArray[np.int64]:
    groups = np.unique(marks, return_inverse=True)[1]
    names = np.unique(labels, return_inverse=True)[1]
    pairs = np.unique(np.stack([groups, names]), axis=1)
    kinds = np.bincount(pairs[0], minlength=int(groups.max(initial=0)) + 1)
    return (kinds[groups] > 1).astype(np.int64)


def _shares(labels: Array) -> NDArray[np.float64]:
    names, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    shares: NDArray[np.float64] = counts[names] / len(labels)
    return shares
