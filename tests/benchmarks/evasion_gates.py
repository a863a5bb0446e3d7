"""Do settled gates say what the full evaluation says, and what do they cost?

Every model is evaluated in full, block by block in the order of a seed; a settled gate is a prefix
of those blocks, so one evaluation answers for every threshold.
"""

import statistics
from typing import Any, NamedTuple

import numpy as np

from tasks.checks.evasion.settling import ALPHA, BLOCK
from tasks.checks.lab import Examples
from tasks.statistics.betting import MeanTest, Settled
from tasks.statistics.power import fixed_sample_size
from tests.benchmarks.evasion_tools import proofhouse
from tests.benchmarks.evasion_work import Work, digits_work

HARDENED, EPOCHS, EPSILON = (0.0, 0.05, 0.1, 0.15), (6, 12, 25), 0.08
"""Twelve networks: four ways of training, each stopped early, later and late."""
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
POINTS = 300
CLEAR = 0.13
"""A margin from which a gate should be much cheaper than the full evaluation."""


class Evaluation(NamedTuple):
    """Blocks of one model in the order in which they were attacked."""

    standing: list[np.ndarray[Any, Any]]
    passes: list[int]

    @property
    def robust(self) -> float:
        """The robust accuracy of the full evaluation."""
        return float(np.concatenate(self.standing).mean())


class Gate(NamedTuple):
    """One threshold on one model."""

    margin: float
    answer: Settled
    right: bool
    saving: float
    fixed: int | None
    points: int


def models() -> list[Work]:
    """Returns the twelve models with their points."""
    return [
        digits_work(hardened=hardened, epsilon=EPSILON, count=POINTS, epochs=epochs)
        for hardened in HARDENED
        for epochs in EPOCHS
    ]


def evaluated(work: Work, seed: int) -> Evaluation:
    """Attacks all points of a model in blocks."""
    order = np.random.default_rng(seed).permutation(len(work.examples.labels))
    standing, passes = [], []
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        examples = Examples(work.examples.inputs[rows], work.examples.labels[rows])
        before = work.target.meter.passes
        standing.append(proofhouse(work._replace(examples=examples)))
        passes.append(work.target.meter.passes - before)
    return Evaluation(standing, passes)


def gate(found: Evaluation, threshold: float) -> Gate:
    """Lets the sequential test look after every block."""
    test, spent, points = MeanTest(threshold, ALPHA), 0, 0
    for standing, passes in zip(found.standing, found.passes, strict=True):
        for sample in standing:
            test.add(float(sample))
        spent, points = spent + passes, points + len(standing)
        if test.answer is not Settled.OPEN:
            break
    truth = Settled.ABOVE if found.robust >= threshold else Settled.BELOW
    return Gate(
        margin=abs(found.robust - threshold),
        answer=test.answer,
        right=test.answer in {truth, Settled.OPEN},
        saving=sum(found.passes) / spent,
        fixed=fixed_sample_size(found.robust, threshold, alpha=ALPHA),
        points=points,
    )


def summary(gates: list[Gate]) -> dict[str, Any]:
    """Returns counts and medians over all gates, and over those with a clear margin."""
    clear = [each for each in gates if each.margin >= CLEAR]
    settled = [each for each in gates if each.answer is not Settled.OPEN]
    return {
        "gates": len(gates),
        "settled": len(settled),
        "contradictions": sum(not each.right for each in gates),
        "clear_gates": len(clear),
        "clear_settled": sum(each.answer is not Settled.OPEN for each in clear),
        "clear_saving_median": round(statistics.median(each.saving for each in clear), 1),
        "clear_saving_min": round(min(each.saving for each in clear), 1),
        "clear_points_median": statistics.median(each.points for each in clear),
        "clear_fixed_design_points_median": statistics.median(each.fixed or 0 for each in clear),
    }
