"""Randomness that belongs to a point, not to its place in a batch.

Equal (point, seed, purpose) give equal draws whatever else is attacked beside it, so that results
do not change when points are added, dropped or split over workers.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def generator_for(item: NDArray[np.float32], *, seed: int, purpose: str) -> np.random.Generator:
    """Returns the counter-based generator (Philox) of one item."""
    digest = hashlib.blake2b(digest_size=16, person=b"evasion")
    digest.update(f"{seed}/{purpose}/".encode())
    digest.update(np.ascontiguousarray(item).tobytes())
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest.digest(), "little")))
