"""The same row again and again: membership probing, and reading a noisy answer's mean.

Retries repeat a row a few times and health checks one row for ever; a probe repeats many rows.
"""

import numpy as np

from tasks.detectors.telemetry.trail import Look

OFTEN = 4


def repeated_rows(look: Look) -> float:
    """Returns how many different rows of the block were asked more than four times, per item."""
    often = np.unique(look.block.hashes[look.times_asked > OFTEN])
    return float(len(often) / look.block.length)
