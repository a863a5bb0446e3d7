"""Which attacks a point has to withstand, from cheap to dear.

Most points that fall do so within a few steps; most that stand are far from falling. So every
attack first runs impatiently (an attempt that cannot get there by the gain of its last doubling is
given up), and only points that came near are attacked with the patience of the reference. All rules
look at one point alone, so that a point's verdict does not depend on the others.
"""

from typing import Any, NamedTuple

import numpy as np

from tasks.checks.evasion.cascade import Cascade, Flags
from tasks.sandbox.protocol import Array

Settings = dict[str, Any]
NEAR = 0.25
"""Share of its lead that a point may have left to be worth every step and restart."""
NEAR_AIMS = 3
EARLY_RUNG = 4
DRAWS = 20
"""Answers averaged for a model that answers at random, as in the reference's version for those."""


class Attacks(NamedTuple):
    """The procedures of one norm."""

    apgd: str
    fab: str
    square: str


ATTACKS = {
    "linf": Attacks(
        "attacks.evasion.linf_apgd", "attacks.evasion.linf_fab", "attacks.evasion.square"
    ),
    "l2": Attacks("attacks.evasion.l2_apgd", "attacks.evasion.l2_fab", "attacks.evasion.l2_square"),
}


class Effort(NamedTuple):
    """How hard to try; the counts are those of the reference unless an operator chose others."""

    steps: int
    restarts: int
    square_queries: int
    deterministic: bool = True

    @property
    def climbing(self) -> Settings:
        """Settings of every gradient attack."""
        return {"steps": self.steps, "draws": 1 if self.deterministic else DRAWS}


def by_gradients_and_scores(cascade: Cascade, effort: Effort) -> None:
    """Attacks a model that reveals gradients with everything, worst case per point."""
    name, climbing = ATTACKS[cascade.budget.norm], effort.climbing
    quick: Settings = {
        **climbing,
        "patient": False,
        "restarts": effort.restarts,
        "whole": cascade.budget.whole,
    }
    cascade.attack("apgd_ce", name.apgd, loss="ce", **quick)
    cascade.attack("apgd_dlr", name.apgd, loss="dlr_targeted", rung=EARLY_RUNG, **quick)
    patiently(cascade, effort, cascade.near(NEAR))
    was_near = cascade.near(NEAR)
    by_scores(cascade, effort)
    patiently(cascade, effort, cascade.near(NEAR) & ~was_near)


def patiently(cascade: Cascade, effort: Effort, among: Flags) -> None:
    """Gives points that came near all steps, towards the classes that came nearest."""
    name, climbing = ATTACKS[cascade.budget.norm], effort.climbing
    again: Settings = {"among": among, "seed": cascade.lab.seed + 1}
    aims: Settings = {"aims": nearest_aims(cascade.aimed, NEAR_AIMS)}
    ascent: Settings = {**again, **climbing, "whole": cascade.budget.whole}
    cascade.attack("apgd_dlr_near", name.apgd, loss="dlr_targeted", beside=aims, **ascent)
    cascade.attack("apgd_margin_near", name.apgd, loss="margin", restarts=2, **ascent)
    cascade.attack("fab_near", name.fab, beside=aims, patient=False, **again, **climbing)


def by_scores(cascade: Cascade, effort: Effort, *, restarts_when_near: int = 2) -> None:
    """Attacks with score queries alone; points that came very near, from further starts."""
    name = ATTACKS[cascade.budget.norm].square
    settings: Settings = {"queries": effort.square_queries, "patient": False}
    cascade.attack("square", name, **settings)
    cascade.attack(
        "square_near", name, among=cascade.near(NEAR / 2), seed=cascade.lab.seed + 1,
        restarts=restarts_when_near, **settings,
    )  # fmt: skip


def nearest_aims(aimed: Array, most: int) -> Array:
    """Returns the classes towards which each point came nearest (n, up to ``most``)."""
    ranked: Array = np.argsort(-aimed, axis=1, kind="stable")
    return ranked[:, : min(most, aimed.shape[1] - 1)].astype(np.int64)
