"""Questions made by a rule: distances between natural questions are about normal, made ones not.

Source: PRADA (Juuti et al. 2019, arXiv 1805.02628), section 5; here on the last 100 distances, so
that a thief who begins honestly is seen as well. Blind to thieves with natural inputs.
"""

import numpy as np

from tasks.detectors.telemetry.trail import Look
from tasks.statistics.normality import shapiro_wilk

FEWEST = 50
_OUTLIER = 3.0


def distance_normality(look: Look) -> float:
    """Returns one minus the Shapiro-Wilk statistic of recent distances; 0 when there are few."""
    gaps = look.recent_gaps
    if len(gaps) < FEWEST:
        return 0.0
    kept = gaps[np.abs(gaps - gaps.mean()) <= _OUTLIER * gaps.std()]
    return 1.0 - shapiro_wilk(kept)
