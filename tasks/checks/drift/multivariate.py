"""Can a classifier tell rows of now from rows of the reference?"""

import numpy as np

from tasks.checks.drift.pair import pair
from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.drift.sketch import Sketch
from tasks.domain.estimate import Estimate
from tasks.domain.measurement import Control, Measurement, Status
from tasks.sandbox.protocol import Array
from tasks.statistics.roc import auc

CHECK, VERSION = "drift.multivariate", 1
LEAST = 100
MOVED = 0.75
"""Standard deviations by which the planted shift moves numbers; as many categories are redrawn."""
_METHOD = (
    "Boosted trees learn on one half of the rows which table a row is from and rank the other "
    "half; area under the curve with DeLong's interval."
)
_LIMITS = (
    "At most 2,000 rows of each table, drawn at random; smaller shifts need more.",
    "The interval takes scores as independent; both folds share their rows, so it is approximate.",
)


def measure(lab: Lab) -> Measurement:
    """Ranks current rows against reference rows, between two controls."""
    both, threshold = pair(lab), lab.number("settle_at")
    places = both.reference.places("feature")
    if not places:
        raise NotAvailable("there are no features to compare")
    before, now = both.reference.kept[:, places], both.current.kept[:, places]
    if min(len(before), len(now)) < LEAST:
        raise NotAvailable(f"{len(before)} and {len(now)} rows were kept; {LEAST} are needed")
    half = len(before) // 2
    clean = _area(lab, before[:half], before[half:])
    planted = _area(lab, before[:half], _moved(both.reference, places, before[half:], lab.seed))
    controls = (
        Control(
            name="planted shift",
            planted=True,
            found=planted.low > threshold,
            estimate=planted,
            detail=f"numbers of one half of the reference moved by {MOVED} deviations",
        ),
        Control(
            name="two halves of the reference",
            planted=False,
            found=clean.low > threshold,
            estimate=clean,
            detail=f"{half} rows against the other {len(before) - half}",
        ),
    )
    found = _area(lab, before, now)
    return Measurement(
        check=CHECK,
        version=VERSION,
        status=Status.MEASURED,
        detail=f"A classifier ranks a row of now above one of the reference {found.value:.1%} of "
        "the time.",
        estimates={"separability": found},
        controls=controls,
        limits=_LIMITS,
        method=_METHOD,
        facts={"reference_rows": len(before), "current_rows": len(now), "columns": len(places)},
        cost=lab.cost,
    )


def _area(lab: Lab, before: Array, now: Array) -> Estimate:
    arrays = {"reference": np.ascontiguousarray(before), "current": np.ascontiguousarray(now)}
    scores = lab.run("detectors.drift.classifier", arrays, seed=lab.seed % 2**31).arrays
    return auc(scores["current"].astype(np.float64), scores["reference"].astype(np.float64))


def _moved(sketch: Sketch, places: list[int], rows: Array, seed: int) -> Array:
    rng, moved = np.random.default_rng(seed), rows.copy()
    for at, place in enumerate(places):
        column = moved[:, at]
        known = column[np.isfinite(column)]
        if not len(known):
            continue
        if sketch.layout.columns[place].kind == "number":
            low, high = np.quantile(known, [0.05, 0.95])
            # Of a normal column the middle nine tenths are 3.29 deviations wide.
            column += np.float32(MOVED * (high - low) / 3.29)
        else:
            column[rng.random(len(column)) < MOVED] = rng.choice(np.unique(known))
    return moved
