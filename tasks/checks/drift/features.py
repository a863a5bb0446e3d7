"""Do the inputs still look like the data that the model was judged on, column by column?"""

from tasks.checks.drift.columns import measure_columns
from tasks.checks.lab import Lab
from tasks.domain.measurement import Measurement

CHECK, VERSION = "drift.features", 1
_LIMITS = (
    "Each column by itself: a change of dependence alone shows in drift.multivariate.",
    "Between the edges of cells a distance may be larger by the share of the heaviest cell.",
    "Rows are taken as independent; overlapping windows and series make intervals too narrow.",
)


def measure(lab: Lab) -> Measurement:
    """Compares every feature of the two tables."""
    return measure_columns(lab, CHECK, VERSION, ("feature",), _LIMITS)
