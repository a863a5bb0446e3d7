"""Searches along a line: consecutive steps from question to question point the same way or back.

Source of the idea: delta similarity of GWAD (CVPR 2025, arXiv 2503.02986). Steps between natural
questions meet at about 120 degrees; bisection along a ray walks to and fro on one line, and it
does so however the detector's distances are dodged.
"""

import numpy as np

from tasks.detectors.telemetry.trail import Look

COLLINEAR = 0.98
RETURN = 0.1
"""Of a step: nearer to where the last step began than this, one has gone back."""


def update_direction(look: Look) -> float:
    """Returns the share of steps that lie on one line with the step before."""
    trail = look.past.part(-2).joined(look.block)
    steps = np.diff(trail.features.astype(np.float64), axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    products = lengths[1:] * lengths[:-1]
    back = np.linalg.norm(trail.features[2:] - trail.features[:-2], axis=1)
    # To another input and back again is a health check between two questions, not a line.
    away = back > RETURN * np.maximum(lengths[1:], lengths[:-1])
    kept = (products > 0) & away
    if not kept.any():
        return 0.0
    cosines = (steps[1:] * steps[:-1]).sum(1)[kept] / products[kept]
    return float((np.abs(cosines) > COLLINEAR).mean())
