"""Floods: how fast items come, weighed by what they cost the model.

An availability monitor. Batch jobs are fast as well, so alone it alarms late; the rate limit of the
role is what holds a flood back.
"""

import math

from tasks.detectors.telemetry.trail import Look


def flood(look: Look) -> float:
    """Returns decades of model milliseconds asked for per second."""
    seconds = max(1e-3, float(look.block.times[-1] - look.block.times[0]))
    return math.log10(1.0 + float(look.block.costs.sum()) / seconds)
