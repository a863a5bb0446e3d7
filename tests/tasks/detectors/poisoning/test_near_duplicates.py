from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tasks.detectors.poisoning.near_duplicates import MANY, near_duplicates
from tasks.detectors.poisoning.students import Labels
from tasks.detectors.poisoning.views import Floats
from tests.tasks.targets.models import digits

ROWS = 2000
Table = Callable[[np.random.Generator], list[Any]]


def few_columns(rng: np.random.Generator) -> list[Any]:
    return [rng.integers(18, 80, ROWS), rng.normal(40, 8, ROWS), rng.normal(size=ROWS)]


def one_column_thrice(rng: np.random.Generator) -> list[Any]:
    value = rng.normal(size=ROWS)
    return [value, 2 * value, value + rng.normal(0, 0.01, ROWS)]


def eight_columns(rng: np.random.Generator) -> list[Any]:
    return [rng.normal(size=ROWS) for _ in range(8)]


def whole_numbers(rng: np.random.Generator) -> list[Any]:
    return [rng.integers(0, 5, ROWS), rng.integers(0, 4, ROWS), rng.integers(0, 3, ROWS)]


TABLES = pytest.mark.parametrize(
    "table", [few_columns, one_column_thrice, eight_columns, whole_numbers]
)


def drawn(table: Table, seed: int = 0) -> tuple[Floats, Labels]:
    rng = np.random.default_rng(seed)
    raw = np.column_stack(table(rng)).astype(np.float32)
    return raw, (raw[:, 0] > np.median(raw[:, 0])).astype(np.int64)


@TABLES
def test_rows_of_small_tables_are_no_repeats(table: Table) -> None:
    raw, labels = drawn(table)
    found = near_duplicates(raw, labels, seed=0)
    assert (found.twins >= MANY).mean() <= 0.01


@TABLES
def test_whether_repeats_are_commonplace_is_told(table: Table) -> None:
    raw, labels = drawn(table)
    found = near_duplicates(raw, labels, seed=0)
    assert (found.commonplace > 0.05) is (table is whole_numbers)


@pytest.mark.parametrize(
    ("table", "moved"),
    [
        (few_columns, 0.0),
        (few_columns, 0.002),
        (one_column_thrice, 0.0),
        (one_column_thrice, 0.002),
        (eight_columns, 0.04),
    ],
)
def test_a_row_injected_many_times_stands_alone(table: Table, moved: float) -> None:
    raw, labels = drawn(table)
    again = np.random.default_rng(1).permutation(ROWS)[:60]
    noise = np.random.default_rng(2).normal(0, 1, (60, raw.shape[1])) * raw.std(0) * moved
    raw[again], labels[again] = raw[again[0]] + noise, labels[again[0]]
    found = near_duplicates(raw, labels, seed=0)
    hit = found.twins >= MANY
    # In one dimension the noise around a row reaches its ordinary neighbours.
    assert hit[again].mean() >= (0.6 if table is one_column_thrice else 0.9)
    assert np.delete(hit, again).mean() <= 0.02


def test_pictures_shown_again_with_noise_are_repeats() -> None:
    rows = digits().train
    raw, labels = rows.inputs.copy(), rows.labels.copy()
    again = np.arange(0, 200, 10)
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.01, 0.01, raw[again].shape) * (raw.max() - raw.min())
    raw[again], labels[again] = raw[0] + noise, labels[0]
    found = near_duplicates(raw, labels, seed=0)
    assert (found.twins[again] >= MANY).all()
    assert (np.delete(found.twins, again) < MANY).all()
    assert found.commonplace == 0
