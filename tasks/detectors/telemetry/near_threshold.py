"""Questions on which the model hardly decides: small margins, low confidence.

Active learners pick such inputs, boundary attacks live there, and so does an honest client whose
inputs have drifted: the calibration must have seen some.
"""

from tasks.detectors.telemetry.trail import Look


def near_threshold(look: Look) -> float:
    """Returns the mean of one minus the margin."""
    return float(1.0 - look.block.margins.mean())
