"""What a child claims counts only when it is measured again and holds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.attacks.corruptions.picture import Layout
from tasks.checks.evasion.patch import in_square
from tasks.checks.evasion.referee import Population, distances, judged, population
from tasks.checks.lab import Lab, NotAvailable
from tests.tasks.targets.models import description, digits, lab_for, trained, write_model

CHECK = "evasion.decision_based"


@pytest.fixture
def bench(tmp_path: Path) -> Lab:
    write_model(tmp_path, trained())
    return lab_for(tmp_path, CHECK, model=description(), evaluation=digits().test)


def crowd(lab: Lab, count: int = 12) -> tuple[Population, NDArray[np.int64]]:
    people = population(lab, points=count, access="labels")
    return people, np.flatnonzero(people.correct)


LIES = ["the clean inputs", "NaN", "infinity", "another shape", "out of range"]


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_counts_for_nothing(bench: Lab, lie: str) -> None:
    people, rows = crowd(bench)
    clean = people.inputs[rows]
    claimed: Any = {
        "the clean inputs": clean,
        "NaN": clean * np.float32(np.nan),
        "infinity": np.full_like(clean, np.inf),
        "another shape": clean[:, 0],
        "out of range": clean - np.float32(0.5),
    }[lie]
    result = judged(bench, people, rows, claimed)
    assert not result.held.any()
    assert (result.escaped > 0) == (lie != "the clean inputs")
    assert result.moved.shape == clean.shape


def test_the_truth_counts(bench: Lab) -> None:
    people, rows = crowd(bench)
    inverted = 1 - people.inputs[rows]
    result = judged(bench, people, rows, inverted)
    assert result.held.any()
    np.testing.assert_array_equal(result.held, result.read != people.labels[rows])
    obeys = np.zeros(len(rows), bool)
    assert not judged(bench, people, rows, inverted, obeys=obeys).held.any()


def test_no_claims_are_no_work(bench: Lab) -> None:
    people, rows = crowd(bench)
    asked = bench.cost.queries
    result = judged(bench, people, rows[:0], people.inputs[:0])
    assert len(result.held) == 0
    assert bench.cost.queries == asked


def test_whole_numbers_are_rounded_before_they_are_asked(bench: Lab) -> None:
    people, rows = crowd(bench)
    people = people._replace(whole=True, high=255.0)
    result = judged(bench, people, rows, people.inputs[rows] + np.float32(0.3))
    np.testing.assert_array_equal(result.moved, np.round(result.moved))


def test_a_target_that_reveals_too_little_is_not_available(bench: Lab) -> None:
    bench._target = bench.target() | {"access": "labels"}
    with pytest.raises(NotAvailable, match="reveals only labels; scores are needed"):
        population(bench, points=3, access="scores")


def test_distances_are_those_of_the_book() -> None:
    clean = np.zeros((2, 1, 2, 2), np.float32)
    moved = clean.copy()
    moved[1, 0] = [[3, 0], [0, -4]]
    for norm, length in {"l0": 2, "l1": 7, "l2": 5, "linf": 4}.items():
        np.testing.assert_array_equal(distances(moved, clean, norm), [0, length])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (8, 8, 3), (8, 8)])
def test_the_rule_of_patches(shape: tuple[int, ...]) -> None:
    layout = Layout(shape, (0.0, 1.0))
    clean = np.full((3, *shape), 0.5, np.float32)
    pictures = [layout.picture(item) for item in clean]
    pictures[0][:, 2:5, 3:6] = 0.9
    pictures[1][:, 2:5, 3:7] = 0.9
    moved = np.stack([layout.item(picture) for picture in pictures])
    assert in_square(moved, clean, layout, 3).tolist() == [True, False, True]
    assert not in_square(moved[:2], clean, layout, 3).any()
