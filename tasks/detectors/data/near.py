"""Which rows of numbers nearly repeat others, without comparing all with all.

Rows are turned so that nearness is a small angle or a small distance, projected to few numbers, and
sorted by random signs of these: near rows share long prefixes and come to lie beside each other
(random hyperplanes, Charikar 2002; sorted prefixes, Bawa et al. 2005, LSH Forest). Only neighbours
in one of many sortings are compared, and each pair is then measured on the whole rows.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.sandbox.protocol import Array

SORTINGS, NEIGHBOURS = 24, 6
PROJECTED, BITS = 48, 64
SLACK = 1.6
"""Projected distances are right within a quarter or so; pairs a little too far are measured."""
CHUNK = 8192
Pairs = NDArray[np.int64]


def near_pairs(rows: NDArray[np.float32], *, closest: float, seed: int) -> Pairs:
    """Returns pairs of rows (pairs, 2), the lower first, that are at most ``closest`` apart.

    Args:
        rows: (n, d), comparable as they are: Euclidean distance is what counts.
        closest: Largest distance.
        seed: Seeds the projections.

    A group of more rows than a sorting shows as neighbours may lack pairs; it is still one group.
    """
    n = len(rows)
    if n < 2:
        return np.zeros((0, 2), dtype=np.int64)
    rng = np.random.default_rng(seed)
    short = _projected(rows, rng)
    spread = short - short.mean(axis=0)
    found = []
    for _ in range(SORTINGS):
        order = np.argsort(_keys(spread, rng), kind="stable")
        for step in range(1, min(NEIGHBOURS, n - 1) + 1):
            pair = np.stack([order[:-step], order[step:]], axis=1)
            apart = np.linalg.norm(short[pair[:, 0]] - short[pair[:, 1]], axis=1)
            found.append(np.sort(pair[apart <= SLACK * closest], axis=1))
    pairs = np.unique(np.concatenate(found), axis=0)
    return pairs[_distances(rows, pairs) <= closest]


def groups_of(pairs: Pairs, n: int) -> NDArray[np.int64]:
    """Returns the number of each row's group (n,): rows that pairs connect share one."""
    links = sparse.coo_matrix((np.ones(len(pairs), dtype=np.int8), pairs.T), shape=(n, n))
    found: NDArray[np.int64] = sparse.csgraph.connected_components(links, directed=False)[1].astype(
        np.int64
    )
    return found


def turned(inputs: Array) -> NDArray[np.float32]:
    """Returns pictures (n, …) as unit vectors (n, d), free of brightness and contrast.

    Pictures of one grey have no direction; they become zeros, near to each other alone.
    """
    flat = inputs.reshape(len(inputs), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(flat, axis=1, keepdims=True)
    found: NDArray[np.float32] = np.where(sizes > 1e-6, flat / np.maximum(sizes, 1e-6), 0)
    return found


def scaled(inputs: Array) -> NDArray[np.float32]:
    """Returns a table (n, columns) in units of each column's spread, divided by the columns."""
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0)
    found: NDArray[np.float32] = (
        (inputs - centre) / np.where(spread > 0, spread, 1) / np.sqrt(inputs.shape[1])
    ).astype(np.float32)
    return found


def _projected(rows: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    axes = rng.standard_normal((rows.shape[1], PROJECTED)).astype(np.float32)
    found: NDArray[np.float32] = rows @ axes / np.float32(np.sqrt(PROJECTED))
    return found


def _keys(rows: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint64]:
    planes = rng.standard_normal((rows.shape[1], BITS)).astype(np.float32)
    signs = np.packbits(rows @ planes > 0, axis=1)
    keys: NDArray[np.uint64] = np.ascontiguousarray(signs).view(">u8").ravel().astype(np.uint64)
    return keys


def _distances(rows: NDArray[np.float32], pairs: Pairs) -> NDArray[np.float64]:
    found = np.zeros(len(pairs))
    for at in range(0, len(pairs), CHUNK):
        one, two = pairs[at : at + CHUNK].T
        found[at : at + CHUNK] = np.linalg.norm(rows[one] - rows[two], axis=1)
    return found
