"""Does the model still answer as it did: the same classes, as often and as surely?

Testing the outputs sees most of what matters in the inputs with a handful of columns (black-box
shift detection: Lipton et al. 2018, arXiv 1802.03916; Rabanser et al. 2019, arXiv 1810.11953).
"""

from tasks.checks.drift.columns import measure_columns
from tasks.checks.lab import Lab
from tasks.domain.measurement import Measurement

CHECK, VERSION = "drift.predictions", 1
_LIMITS = (
    "Outputs that look as before may be wrong more often: drift.concept needs labels for that.",
    "A shift that does not reach the outputs is not seen here.",
)


def measure(lab: Lab) -> Measurement:
    """Compares predicted classes, confidence, and every output column."""
    return measure_columns(lab, CHECK, VERSION, ("prediction", "derived"), _LIMITS)
