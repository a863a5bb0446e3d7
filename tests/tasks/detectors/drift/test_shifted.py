"""Weighted by how likely rows are now: beside what confidence alone says, on a seeded shift."""

from typing import NamedTuple

import numpy as np
import pytest

from tasks.detectors.drift.classifier import classifier
from tasks.detectors.drift.performance import Outcomes, estimated
from tasks.detectors.drift.shifted import MOST_WEIGHT, Answered, odds_of, under_shift
from tasks.sandbox.protocol import Array
from tasks.statistics.intervals import Floats

ROWS = 2000


class Met(NamedTuple):
    """Rows that a model met: inputs, its confidence, and whether it was right."""

    inputs: Array
    confidence: Floats
    right: Floats


def met(seed: int, *, rare: float) -> Met:
    """Draws rows; on the rare ones the model is far surer than it may be."""
    rng = np.random.default_rng(seed)
    is_rare = rng.random(ROWS) < rare
    place = np.where(is_rare, 1.0, -1.0) * rng.gamma(4, 0.25, ROWS)
    b = rng.normal(0, 1.5, ROWS)
    said, truth = (1 / (1 + np.exp(-z)) for z in (2 * b, np.where(is_rare, 0.5 * b, 2 * b)))
    right = (said >= 0.5) == (rng.random(ROWS) < truth)
    inputs = np.column_stack([place, b, rng.normal(size=(ROWS, 3))]).astype(np.float32)
    return Met(inputs, np.maximum(said, 1 - said), right.astype(np.float64))


def by_confidence_alone(before: Met, now: Met) -> float:
    cells = [np.minimum((one.confidence * 100).astype(int), 99) for one in (before, now)]
    shown = np.bincount(cells[0], minlength=100)
    right = np.bincount(cells[0], before.right, minlength=100).astype(int)
    known = np.bincount(cells[1], minlength=100)
    return estimated(Outcomes(shown, shown, right), known, seed=1).drop.value


@pytest.mark.parametrize("rare", [0.2, 0.5, 0.8])
def test_a_model_too_sure_of_what_was_rare_is_seen(rare: float) -> None:
    alone, weighted, kept = [], [], []
    for seed in range(4):
        before, now = met(2 * seed, rare=0.2), met(2 * seed + 1, rare=rare)
        scores = classifier(reference=before.inputs, current=now.inputs, seed=seed).arrays
        odds = odds_of(scores["reference"], before=ROWS, now=ROWS)
        answered = Answered(before.confidence, before.right, odds)
        found = under_shift(answered, now.confidence, seed=seed)
        truly = float(before.right.mean() - now.right.mean())
        alone.append(by_confidence_alone(before, now) - truly)
        weighted.append(found.drop.value - truly)
        kept.append(found.effective_rows)
    assert np.abs(weighted).mean() < 0.03
    if rare > 0.2:
        assert np.abs(weighted).mean() < 0.5 * np.abs(alone).mean()
    assert (min(kept) > 1000) is (rare == 0.2), "the more has moved, the fewer rows speak"


def test_without_a_shift_it_says_what_confidence_says() -> None:
    before, now = met(1, rare=0.2), met(2, rare=0.2)
    equal = Answered(before.confidence, before.right, np.ones(ROWS))
    found = under_shift(equal, now.confidence, seed=1)
    assert found.drop.value == pytest.approx(by_confidence_alone(before, now), abs=0.005)
    assert found.effective_rows == pytest.approx(ROWS)
    assert found.drop.low <= found.drop.value <= found.drop.high
    assert found == under_shift(equal, now.confidence, seed=1)


def test_no_row_decides_alone() -> None:
    odds = odds_of(np.array([0.0, 0.5, 1.0]), before=100, now=50)
    assert odds[1] == pytest.approx(2.0)
    assert odds[2] == MOST_WEIGHT
    assert 0 < odds[0] < 0.01


def test_of_nothing_there_is_no_estimate() -> None:
    none = np.zeros(0)
    with pytest.raises(ValueError, match="labelled rows before"):
        under_shift(Answered(none, none, none), np.ones(3), seed=1)
