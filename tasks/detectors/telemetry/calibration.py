"""From honest traffic to a threshold that keeps an alert budget.

Every account is one draw: what counts is the highest score that any monitor reaches over an
account's whole period, so that neither busy accounts nor many looks nor many monitors add false
alarms. One half of the honest accounts sets each monitor's scale, the other half the threshold:
conformal, hence valid whatever the scores' distribution, as long as honest accounts of the future
are like those of the calibration (Bates et al. 2023, arXiv 2104.08279). The threshold is so high
that the *realised* rate stays within the budget with 95 % confidence, not only on average.
"""

from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy import stats

from tasks.detectors.telemetry.scoring import NAMES
from tasks.detectors.telemetry.trail import Floats
from tasks.domain.frozen import Frozen

CONFIDENCE = 0.95
HIGH = 0.999
"""Quantile of honest accounts that a monitor's scale puts at one."""
FEWEST = 40
MARGIN = 0.15
"""Of itself, by which the threshold is raised: tomorrow's honest clients are a little odder."""
_NEVER = 1e30


class Calibration(Frozen):
    """Scales and threshold. ``alarm_rate`` is per honest account and period, with its bound."""

    schema_: Literal["proofhouse.abuse/1"] = Field(default="proofhouse.abuse/1", alias="schema")
    unit: float = Field(gt=0)
    """The usual distance between natural inputs."""
    names: tuple[str, ...]
    middle: tuple[float, ...]
    width: tuple[float, ...]
    threshold: float
    accounts: int
    """Honest accounts that set the threshold."""
    budget: float
    """Alarms per account and period that were asked for."""
    bound: float
    """What the realised rate stays below with 95 % confidence."""
    source: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.names != NAMES or not len(self.names) == len(self.middle) == len(self.width):
            raise ValueError("made by other monitors: calibrate again")
        return self

    @property
    def keeps_budget(self) -> bool:
        """Whether there were enough accounts to promise the budget."""
        return self.bound <= self.budget

    def standing(self, scores: Floats) -> Floats:
        """Returns scores (…, names) on the common scale: honest accounts seldom reach one."""
        scaled: Floats = (scores - np.array(self.middle)) / np.array(self.width)
        return scaled


def calibrated(
    scores: Sequence[Floats], *, unit: float, budget: float, source: str = ""
) -> Calibration:
    """Sets scales and threshold.

    Args:
        scores: Per honest account, (blocks, names) as ``block_scores`` returns, in any order; they
            are split in the middle, so the order must not mean anything.
        unit: The unit that the scores were made with.
        budget: Alarms per account and period.
        source: Where the accounts come from.

    Raises:
        ValueError: There are too few accounts.
    """
    tops = np.array([rows.max(axis=0) for rows in scores if len(rows)])
    if len(tops) < FEWEST:
        raise ValueError(f"{len(tops)} accounts with a full block are too few; {FEWEST} at least")
    scale, decide = tops[: len(tops) // 2], tops[len(tops) // 2 :]
    middle, width = np.array([_scale(column[np.isfinite(column)]) for column in scale.T]).T
    standing = np.sort(((decide - middle) / width).max(axis=1))[::-1]
    allowed, bound = _allowed(len(standing), budget)
    return Calibration(
        unit=unit,
        names=NAMES,
        middle=tuple(middle.tolist()),
        width=tuple(width.tolist()),
        # At the k-th largest, k - 1 of these accounts would have been alarmed.
        threshold=_raised(float(standing[allowed - 1])),
        accounts=len(standing),
        budget=budget,
        bound=bound,
        source=source,
    )


def _raised(threshold: float) -> float:
    return threshold + MARGIN * abs(threshold)


def _scale(tops: Floats) -> tuple[float, float]:
    """Returns the middle of a monitor's highest scores, and how far above it its tail begins."""
    if not len(tops):
        return 0.0, _NEVER
    middle = float(np.median(tops))
    # A monitor that is silent on all honest accounts still needs a step that counts as one.
    return middle, max(float(np.quantile(tops, HIGH)) - middle, 0.02, 0.05 * abs(middle))


def _allowed(count: int, budget: float) -> tuple[int, float]:
    """Returns the largest k for which "above the k-th largest" keeps the budget, and its bound.

    The realised rate of that rule is Beta(k, n - k + 1) distributed.
    """
    k = 1
    bound = _bound(1, count)
    while k < count and (further := _bound(k + 1, count)) <= budget:
        k, bound = k + 1, further
    return k, bound


def _bound(k: int, count: int) -> float:
    return float(stats.beta.ppf(CONFIDENCE, k, count - k + 1))
