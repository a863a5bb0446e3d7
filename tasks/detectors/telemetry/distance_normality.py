"""Questions made by a rule: distances between natural questions are about normal, made ones not.

Source: PRADA (Juuti et al. 2019, arXiv 1805.02628), section 5; here on the last 100 distances, so
that a thief who begins honestly is seen as well. Blind to thieves with natural inputs.
"""

from tasks.detectors.telemetry.query_distances import normality
from tasks.detectors.telemetry.trail import Look

FEWEST = 50


def distance_normality(look: Look) -> float:
    """Returns one minus the Shapiro-Wilk statistic of recent distances; 0 when there are few."""
    gaps = look.recent_gaps
    return 1.0 - normality(gaps) if len(gaps) >= FEWEST else 0.0
