"""A hash tree over the rows of a dataset, so that a change names the rows.

Leaves and nodes are hashed as in RFC 6962, section 2.1. A leaf holds one row: its label and its
values as they are decoded (float32 and int64, little-endian), whatever file they came in. Large
sets put several rows into a leaf.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tasks.ledger.merkle import leaf_hash, root_of
from tasks.sandbox.protocol import Array

MOST_LEAVES = 200_000
DIGEST_BYTES = hashlib.sha256().digest_size


class RowTree(NamedTuple):
    """The tree of one set: how many rows it has, how many share a leaf, and the leaves."""

    rows: int
    rows_per_leaf: int
    leaves: bytes
    """Digests of ``DIGEST_BYTES`` each, one after the other."""

    @property
    def root(self) -> str:
        """Returns the root in hex; number of rows and size of a leaf are part of it."""
        head = f"{self.rows} rows, {self.rows_per_leaf} a leaf".encode()
        return root_of([leaf_hash(head), *_split(self.leaves)]).hex()


def row_tree(inputs: Array, labels: Array, *, rows_per_leaf: int | None = None) -> RowTree:
    """Builds the tree over labelled rows: inputs (n, *item), labels (n,)."""
    count = len(labels)
    size = rows_per_leaf or -(-count // MOST_LEAVES) or 1
    values = np.ascontiguousarray(inputs, "<f4").reshape(count, -1)
    kind = "<f4" if labels.dtype.kind == "f" else "<i8"
    classes = np.ascontiguousarray(labels, kind)
    leaves = (
        leaf_hash(classes[at : at + size].tobytes() + values[at : at + size].tobytes())
        for at in range(0, count, size)
    )
    return RowTree(count, size, b"".join(leaves))


def changed_rows(signed: RowTree, found: RowTree) -> list[tuple[int, int]]:
    """Returns ranges of rows (first, behind the last) that differ, place by place.

    Raises:
        ValueError: The two trees put different numbers of rows into a leaf.
    """
    if signed.rows_per_leaf != found.rows_per_leaf:
        raise ValueError("the trees have leaves of different size")
    before, after = _split(signed.leaves), _split(found.leaves)
    most = max(len(before), len(after))
    differing = [at for at in range(most) if before[at : at + 1] != after[at : at + 1]]
    ranges: list[tuple[int, int]] = []
    end = max(signed.rows, found.rows)
    for at in differing:
        first, behind = at * signed.rows_per_leaf, min((at + 1) * signed.rows_per_leaf, end)
        if ranges and ranges[-1][1] == first:
            ranges[-1] = (ranges[-1][0], behind)
        else:
            ranges.append((first, behind))
    return ranges


def _split(leaves: bytes) -> Sequence[bytes]:
    return [leaves[at : at + DIGEST_BYTES] for at in range(0, len(leaves), DIGEST_BYTES)]
