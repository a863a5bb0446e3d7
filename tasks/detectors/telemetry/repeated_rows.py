"""The same row again and again: membership probing, and reading a noisy answer's mean.

Retries repeat a row a few times and health checks one row for ever; a probe repeats many rows.
"""

import numpy as np

from tasks.detectors.telemetry.trail import Look

OFTEN = 4


def repeated_rows(look: Look) -> float:
    """Returns how many different rows of the block were asked more than four times, per item."""
    hashes = np.concatenate([look.past.hashes, look.block.hashes])
    rows, counts = np.unique(hashes, return_counts=True)
    often = rows[counts > OFTEN]
    return float(np.isin(often, look.block.hashes).sum() / look.block.length)
