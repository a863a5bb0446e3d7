"""Variants of one's own earlier questions: how close each question is to the nearest one before.

Attacks that only see answers ask about many variants of one input. Source of the idea: stateful
detection (Chen et al. 2019, arXiv 1907.05587) and Blacklight (Li et al. 2022, arXiv 2006.14042).
Exact repeats do not count: retries are honest.
"""

import numpy as np

from tasks.detectors.telemetry.trail import Look


def nearest_distance(look: Look) -> float:
    """Returns the mean number of decades by which questions are closer than natural ones."""
    gaps = look.gaps[np.isfinite(look.gaps)]
    return float(-np.log10(np.clip(gaps, 1e-3, 1)).mean()) if len(gaps) else 0.0
