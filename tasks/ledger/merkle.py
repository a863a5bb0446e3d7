"""Merkle trees of RFC 6962: roots, inclusion proofs, consistency proofs. Pure functions.

Words: *node* (level, index) is the complete subtree over leaves ``index << level`` up to
``(index + 1) << level``; *peaks* are the largest complete subtrees that make up a tree, from left
to right (one per set bit of its size). Source: RFC 6962 section 2.1; verification as in RFC 9162
sections 2.1.3.2 and 2.1.4.2.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

Node = Callable[[int, int], bytes]
"""Gives the hash of the complete subtree (level, index)."""

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Returns the hash of one entry (domain 0x00)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Returns the hash over two subtrees (domain 0x01)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def add_leaf(peaks: Sequence[bytes], size: int, leaf: bytes) -> tuple[bytes, ...]:
    """Returns the peaks of ``size + 1`` leaves, given those of ``size``. Cost: O(log size)."""
    kept, merged = list(peaks), leaf
    while size & 1:
        merged = node_hash(kept.pop(), merged)
        size >>= 1
    return (*kept, merged)


def fold_peaks(peaks: Sequence[bytes]) -> bytes:
    """Returns the root of the tree with these peaks."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Returns the root over leaf hashes."""
    peaks: tuple[bytes, ...] = ()
    for size, leaf in enumerate(leaves):
        peaks = add_leaf(peaks, size, leaf)
    return fold_peaks(peaks)


class Tree:
    """All complete subtrees of a growing list of leaves, kept in memory (64 bytes per leaf)."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.add(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def add(self, leaf: bytes) -> None:
        """Appends one leaf hash. Cost: one hash on average."""
        level, merged = 0, leaf
        while True:
            if level == len(self._levels):
                self._levels.append([])
            row = self._levels[level]
            row.append(merged)
            if len(row) & 1:
                return
            merged, level = node_hash(row[-2], row[-1]), level + 1

    def node(self, level: int, index: int) -> bytes:
        """Returns the hash of a complete subtree."""
        return self._levels[level][index]

    def root(self, size: int) -> bytes:
        """Returns the root over the first ``size`` leaves. Cost: O(log size)."""
        return range_hash(self.node, 0, size)


def range_hash(node: Node, start: int, end: int) -> bytes:
    """Returns the hash of leaves ``start`` to ``end``; ``start`` is aligned as in a proof."""
    peaks: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        peaks.append(node(level, start >> level))
        start += 1 << level
    return fold_peaks(peaks)


def inclusion_proof(node: Node, index: int, size: int) -> tuple[bytes, ...]:
    """Returns PATH(index, D[size]): what leads from a leaf to the root.

    Raises:
        ValueError: There is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not among {size}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_hash(node, middle, end))
            end = middle
        else:
            path.append(range_hash(node, start, middle))
            start = middle
    return tuple(reversed(path))


def consistency_proof(node: Node, old: int, new: int) -> tuple[bytes, ...]:
    """Returns PROOF(old, D[new]): what shows that ``new`` leaves continue ``old`` of them.

    Raises:
        ValueError: ``old`` is not within 1 to ``new``.
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof from {old} to {new} leaves")
    start, end, whole, path = 0, new, True, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_hash(node, middle, end))
            end = middle
        else:
            path.append(range_hash(node, start, middle))
            start, whole = middle, False
    # RFC 6962: the old root itself is left out when it is a complete part of the new tree.
    return tuple(reversed(path)) if whole else (range_hash(node, start, end), *reversed(path))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Answers whether ``proof`` leads from ``leaf`` at ``index`` to ``root`` over ``size``."""
    if not 0 <= index < size:
        return False
    place, last, merged = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            merged = node_hash(sibling, merged)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            merged = node_hash(merged, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and merged == root


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Answers whether ``proof`` shows that the tree of ``new`` leaves continues that of ``old``."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _split(count: int) -> int:
    """Returns the largest power of two below ``count`` (RFC 6962: k < n <= 2k)."""
    return 1 << ((count - 1).bit_length() - 1)
