"""Robust accuracy at other budgets than the gate's: where does the model give way?"""

from typing import Any

import numpy as np

from tasks.checks.evasion import schedule
from tasks.checks.evasion.cascade import Cascade, Flags
from tasks.checks.lab import Lab
from tasks.statistics.intervals import binomial

FACTORS = (0.25, 0.5, 2.0)
POINTS = 50


def levels(lab: Lab, cascade: Cascade, *, white_box: bool) -> list[dict[str, float]]:
    """Returns rows of epsilon, robust accuracy, low, high, from fewer points and lighter attacks.

    Standing is monotone in the budget, so only points that could differ are attacked: below the
    main budget those that fell, above it those that stood.
    """
    few: Flags = np.arange(len(cascade.labels)) < POINTS
    main = lab.number("epsilon")
    rows = [_level(0.0, cascade.correct & few, few), _level(main, cascade.standing & few, few)]
    certain = cascade.standing & few
    for factor in FACTORS:
        open_ = cascade.correct & few & (~cascade.standing if factor < 1 else cascade.standing)
        other = cascade.under(cascade.budget.epsilon * factor, open_)
        _attack(lab, other, white_box=white_box)
        standing = other.standing | certain if factor < 1 else other.standing
        rows.append(_level(main * factor, standing, few))
    return _monotone(sorted(rows, key=lambda row: row["epsilon"]))


def _attack(lab: Lab, cascade: Cascade, *, white_box: bool) -> None:
    name = schedule.ATTACKS[cascade.budget.norm]
    quick: dict[str, Any] = {"patient": False, "steps": lab.count("steps")}
    if white_box:
        cascade.attack("apgd_ce", name.apgd, loss="ce", **quick)
        cascade.attack("apgd_dlr", name.apgd, loss="dlr_targeted", targets=3, **quick)
    else:
        queries = lab.count("square_queries")
        cascade.attack("square", name.square, queries=queries, patient=False)


def _level(epsilon: float, standing: Flags, few: Flags) -> dict[str, float]:
    estimate = binomial(int(standing.sum()), int(few.sum()))
    return {
        "epsilon": epsilon,
        "robust_accuracy": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
    }


def _monotone(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """A witness for a small budget is one for every larger budget."""
    lowest = rows[0]
    kept = []
    for row in rows:
        if row["robust_accuracy"] < lowest["robust_accuracy"]:
            lowest = row
        kept.append({**lowest, "epsilon": row["epsilon"]})
    return kept
