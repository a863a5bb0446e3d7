"""What one account asked, in order, and how a block of it looks beside what it asked before.

A *block* is the next ``BLOCK`` items. Monitors look at one block and what came before it
(``Look``) and answer one number: the higher, the less like an honest client. What a number is worth
is for the calibration to say.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

BLOCK = 25
PAST = 400
"""Items before a block that it is compared with: the cost of a block grows with it."""
NEAR = 0.25
"""Closer than this share of the usual distance between natural inputs, two inputs are variants."""
Floats = NDArray[np.float64]


class Trail(NamedTuple):
    """Items of one account, the oldest first; arrays of one length."""

    times: Floats
    """Seconds."""
    features: NDArray[np.float32]
    """(n, d)."""
    hashes: NDArray[np.uint64]
    """Equal for equal inputs."""
    labels: NDArray[np.int64]
    margins: Floats
    """Likeliest less second likeliest, 0..1."""
    costs: Floats
    """Milliseconds of the model."""

    @property
    def length(self) -> int:
        """Number of items."""
        return len(self.times)

    def part(self, start: int | None, stop: int | None = None) -> "Trail":
        """Returns items ``start`` to ``stop``, as slices count."""
        taken = slice(start, stop)
        return Trail(
            self.times[taken],
            self.features[taken],
            self.hashes[taken],
            self.labels[taken],
            self.margins[taken],
            self.costs[taken],
        )

    def joined(self, later: "Trail") -> "Trail":
        """Returns this trail with ``later`` behind it."""
        return Trail(
            np.concatenate([self.times, later.times]),
            np.concatenate([self.features, later.features]),
            np.concatenate([self.hashes, later.hashes]),
            np.concatenate([self.labels, later.labels]),
            np.concatenate([self.margins, later.margins]),
            np.concatenate([self.costs, later.costs]),
        )

    @classmethod
    def empty(cls, dimensions: int) -> Self:
        """Returns a trail without items."""
        nothing = np.zeros(0)
        return cls(
            nothing,
            np.zeros((0, dimensions), np.float32),
            np.zeros(0, np.uint64),
            np.zeros(0, np.int64),
            nothing,
            nothing,
        )


class Look(NamedTuple):
    """One block beside its past. Distances are in units of the usual one between natural inputs."""

    past: Trail
    block: Trail
    distances: Floats
    """(block, past + block): to every earlier item; infinite to later ones, itself and exact
    repeats."""
    gaps: Floats
    """(block,): to the nearest earlier item that is no exact repeat; infinite without one."""
    times_asked: NDArray[np.int64]
    """(block,): how often each input stands in past and block together."""
    recent_gaps: Floats
    """Finite gaps of the last 100 items, this block's included."""


RECENT = 100


def looked(past: Trail, block: Trail, recent: Floats, unit: float) -> Look:
    """Compares a block with its past.

    Args:
        past: At most ``PAST`` items before the block.
        block: The block.
        recent: Finite gaps of earlier items.
        unit: The usual distance between natural inputs, in units of the features.
    """
    earlier = np.concatenate([past.features, block.features]).astype(np.float64)
    mine = block.features.astype(np.float64)
    squared = (mine**2).sum(1)[:, None] + (earlier**2).sum(1) - 2 * mine @ earlier.T
    distances = np.sqrt(np.maximum(squared, 0)) / unit
    place = np.arange(len(earlier)) - past.length
    distances[place >= np.arange(block.length)[:, None]] = np.inf
    same = block.hashes[:, None] == np.concatenate([past.hashes, block.hashes])
    distances[same] = np.inf
    gaps = distances.min(axis=1)
    kept = np.concatenate([recent, gaps[np.isfinite(gaps)]])[-RECENT:]
    return Look(past, block, distances, gaps, same.sum(axis=1), kept)
