"""Growth into new territory: questions that lie far from everything asked before.

Thieves who make up inputs (noise, generators, other data) cover space that honest clients never
ask about. Source of the idea: coverage in the feature space as extraction status (Kesarwani et
al. 2018, arXiv 1711.07221).
"""

import numpy as np

from tasks.detectors.telemetry.trail import Look

FARTHEST = 3.0
FEWEST = 50
"""Earlier questions: at first everything is new to everybody."""


def coverage_growth(look: Look) -> float:
    """Returns the mean distance to the nearest earlier question, capped at three usual ones."""
    gaps = look.gaps[np.isfinite(look.gaps)]
    if look.past.length < FEWEST or not len(gaps):
        return 0.0
    return float(np.minimum(gaps, FARTHEST).mean())
