"""Small trails with a known habit."""

import numpy as np

from tasks.detectors.telemetry.trail import Trail
from tasks.sandbox.protocol import Array

DIMENSIONS = 16


def natural(count: int, seed: int = 0) -> Array:
    """Inputs as far apart as natural ones are; about one unit each."""
    drawn = np.random.default_rng(seed).normal(0, (2 * DIMENSIONS) ** -0.5, (count, DIMENSIONS))
    return drawn.astype(np.float32)


def trail(
    features: Array, *, labels: Array | None = None, margin: float = 0.9, gap_seconds: float = 60.0
) -> Trail:
    """What one account asked; equal features are equal inputs."""
    count = len(features)
    _, hashes = np.unique(features, axis=0, return_inverse=True)
    return Trail(
        times=np.arange(count, dtype=np.float64) * gap_seconds,
        features=np.asarray(features, np.float32),
        hashes=hashes.reshape(-1).astype(np.uint64),
        labels=np.zeros(count, np.int64) if labels is None else np.asarray(labels, np.int64),
        margins=np.full(count, margin),
        costs=np.full(count, 0.3),
    )
