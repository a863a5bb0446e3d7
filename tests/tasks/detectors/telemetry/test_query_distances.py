"""The distance monitor: sees made-up queries, passes natural ones, and says nothing too early."""

import numpy as np
import pytest

from tasks.detectors.telemetry.query_distances import FEWEST, normality, seen_by_distances
from tasks.sandbox.protocol import Array
from tests.tasks.targets.models import digits


def stepped(seeds: Array, rounds: int) -> Array:
    """Queries made by a rule, as Jacobian augmentation makes them: steps of one size."""
    rng = np.random.default_rng(0)
    found = seeds
    for _ in range(rounds):
        found = np.concatenate([found, found + 0.1 * rng.choice([-1.0, 1.0], found.shape)])
    return found


def labels_of(queries: Array) -> Array:
    labels: Array = queries.reshape(len(queries), -1)[:, 20] > 0.5
    return labels.astype(np.int64)


def test_sees_queries_made_by_a_rule() -> None:
    queries = stepped(digits().train.inputs[:50], 4)
    found = seen_by_distances(queries, labels_of(queries))
    assert found["alarm_at"] is not None
    assert found["alarm_at"] < 500


def test_does_not_see_natural_queries() -> None:
    queries = digits().train.inputs[:600]
    found = seen_by_distances(queries, digits().train.labels[:600])
    assert found["alarm_at"] is None
    assert found["lowest"] > 0.95


@pytest.mark.parametrize("count", [0, 1, FEWEST])
def test_says_nothing_about_a_few(count: int) -> None:
    queries = digits().train.inputs[:count]
    nothing = {"alarm_at": None, "lowest": None}
    assert seen_by_distances(queries, np.zeros(count, np.int64)) == nothing


def test_one_query_again_and_again_is_seen() -> None:
    found = seen_by_distances(np.zeros((300, 4)), np.zeros(300, np.int64))
    assert found == {"alarm_at": 101, "lowest": 0.0}


def test_normal_distances_are_normal() -> None:
    rng = np.random.default_rng(0)
    assert normality(rng.normal(5, 1, 500)) > 0.98
    assert normality(rng.exponential(1, 500)) < 0.95
