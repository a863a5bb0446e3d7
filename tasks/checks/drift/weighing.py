"""The rows that both sketches kept, weighed by how much likelier they are now (PAPE)."""

from typing import NamedTuple

import numpy as np

from tasks.checks.drift.pair import Pair
from tasks.checks.lab import Lab
from tasks.detectors.drift.shifted import Answered, Shifted, odds_of, under_shift
from tasks.detectors.drift.sketch import Sketch
from tasks.intake.outcomes import CLASS, CONFIDENCE
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats

LEAST, LEAST_EFFECTIVE = 200, 100
"""Labelled rows of the reference, and how many equal ones their weights must be worth."""


class Weighed(NamedTuple):
    """The estimate under shift, or why there is none."""

    found: Shifted | None
    why_not: str = ""

    @property
    def told(self) -> str:
        """What it rests on, or why it is missing."""
        return f"{self.found.effective_rows:.0f} effective rows" if self.found else self.why_not


def weighed(lab: Lab, both: Pair) -> Weighed:
    """Estimates how right the model is now from rows that were kept whole; seconds on two cores."""
    places = both.reference.places("feature")
    confidence = both.reference.column(CONFIDENCE)
    right = _right(both.reference)
    if not places or confidence is None or right is None:
        return Weighed(None, "it needs inputs, confidence, and labels that are classes")
    before, now = both.reference.kept, both.current.kept
    known = np.isfinite(right) & np.isfinite(before[:, confidence])
    met = np.isfinite(now[:, confidence])
    if min(int(known.sum()), int(met.sum())) < LEAST:
        return Weighed(None, f"{int(known.sum())} labelled rows were kept; {LEAST} are needed")
    scores = _scores(lab, before[known][:, places], now[met][:, places])
    odds = odds_of(scores, before=int(known.sum()), now=int(met.sum()))
    answered = Answered(before[known, confidence].astype(np.float64), right[known], odds)
    found = under_shift(answered, now[met, confidence].astype(np.float64), seed=lab.seed)
    if found.effective_rows < LEAST_EFFECTIVE:
        return Weighed(
            None, f"only {found.effective_rows:.0f} rows of the reference are like now's"
        )
    return Weighed(found)


def _scores(lab: Lab, before: Array, now: Array) -> Floats:
    arrays = {"reference": np.ascontiguousarray(before), "current": np.ascontiguousarray(now)}
    reply = lab.run("detectors.drift.classifier", arrays, seed=lab.seed % 2**31)
    return reply.arrays["reference"].astype(np.float64)


def _right(sketch: Sketch) -> Floats | None:
    """Returns 1 where a kept row was answered rightly, 0 where wrongly, NaN without an answer."""
    label = sketch.column(sketch.layout.reading.labels or "")
    guess = sketch.column(CLASS)
    if label is None or guess is None:
        return None
    if "number" in {sketch.layout.columns[at].kind for at in (label, guess)}:
        return None
    truth, said = (_names(sketch, at) for at in (label, guess))
    right: Floats = (truth == said).astype(np.float64)
    right[(truth == "") | (said == "")] = np.nan
    return right


def _names(sketch: Sketch, at: int) -> Array:
    """Returns the names in a kept column of categories; empty where unknown or missing."""
    names = np.array([*sketch.layout.columns[at].categories, ""])
    cells = np.nan_to_num(sketch.kept[:, at], nan=len(names)).astype(np.int64)
    return names[np.minimum(cells, len(names) - 1)]
