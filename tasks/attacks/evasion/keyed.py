"""Randomness that belongs to a point, not to its place in a batch.

Equal (point, seed, purpose) give equal draws whatever else is attacked beside it, so that results
do not change when points are added, dropped or split over workers.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

# Constants of SplitMix64 (Steele, Lea, Flood 2014): the step and the two multipliers of its mixer.
STEP, FIRST, SECOND = (
    np.uint64(number)
    for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)  # fmt: skip


def generator_for(item: NDArray[np.float32], *, seed: int, purpose: str) -> np.random.Generator:
    """Returns the counter-based generator (Philox) of one item."""
    return np.random.Generator(np.random.Philox(key=_digest(item, seed, purpose, 16)))


def keys_of(items: NDArray[np.float32], *, seed: int, purpose: str) -> Keys:
    """Returns one key per item (n,) for :func:`uniform`."""
    return np.array([_digest(item, seed, purpose, 8) for item in items], dtype=np.uint64)


def uniform(keys: Keys, counters: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Returns ``count`` numbers in [0, 1) for each key at its own counter (n, count).

    A draw depends on (key, counter, column) alone, so rows may leave or change places at any time.
    """
    place = counters.astype(np.uint64)[:, None] * np.uint64(count) + np.arange(count).astype(
        np.uint64
    )
    mixed = _mixed(keys[:, None] + (place + np.uint64(1)) * STEP)
    drawn: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return drawn


class KeyRing:
    """The keys of many items, one set per restart, made when first asked for."""

    def __init__(self, items: NDArray[np.float32], *, seed: int, purpose: str) -> None:
        self._items, self._seed, self._purpose = items, seed, purpose
        self._sets: list[Keys] = []

    def of(self, points: NDArray[np.int64], restarts: NDArray[np.int64]) -> Keys:
        """Returns the key of each (point, restart) (m,)."""
        while len(self._sets) <= restarts.max(initial=0):
            purpose = f"{self._purpose}/{len(self._sets)}"
            self._sets.append(keys_of(self._items, seed=self._seed, purpose=purpose))
        found: Keys = np.stack(self._sets)[restarts, points]
        return found


def _mixed(numbers: Keys) -> Keys:
    numbers = (numbers ^ (numbers >> np.uint64(30))) * FIRST
    numbers = (numbers ^ (numbers >> np.uint64(27))) * SECOND
    mixed: Keys = numbers ^ (numbers >> np.uint64(31))
    return mixed


def _digest(item: NDArray[np.float32], seed: int, purpose: str, size: int) -> int:
    digest = hashlib.blake2b(digest_size=size, person=b"evasion")
    digest.update(f"{seed}/{purpose}/".encode())
    digest.update(np.ascontiguousarray(item).tobytes())
    return int.from_bytes(digest.digest(), "little")
