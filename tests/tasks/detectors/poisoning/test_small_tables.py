"""Tables of a few columns: their own rules are no triggers, and a planted one is."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.checks.poisoning.trigger_mining import confirmed
from tasks.detectors.poisoning.students import Labels
from tasks.detectors.poisoning.trigger_mining import trigger_mining
from tasks.detectors.poisoning.views import Floats
from tasks.sandbox.protocol import Reply

ROWS = 1500
Table = Callable[[np.random.Generator], tuple[Floats, Labels]]


def by_one_column(rng: np.random.Generator) -> tuple[Floats, Labels]:
    age = rng.integers(18, 80, ROWS)
    raw = np.column_stack([age, rng.normal(40, 8, ROWS).round(1), rng.normal(size=ROWS)])
    return raw.astype(np.float32), (age > 45).astype(np.int64)


def by_several_columns(rng: np.random.Generator) -> tuple[Floats, Labels]:
    raw = rng.normal(size=(ROWS, 8)).round(3)
    score = raw[:, 0] - raw[:, 1] + 0.5 * rng.normal(size=ROWS)
    return raw.astype(np.float32), (score > 0).astype(np.int64)


def found(reply: Reply) -> NDArray[np.bool_]:
    """Which rows carry a confirmed trigger."""
    kept = [which for which, told in enumerate(reply.values["triggers"]) if confirmed(told)]
    return np.isin(reply.arrays["trigger"], kept)


@pytest.mark.parametrize("table", [by_one_column, by_several_columns])
def test_a_rule_of_the_table_is_no_trigger(table: Table) -> None:
    inputs, labels = table(np.random.default_rng(0))
    reply = trigger_mining(inputs=inputs, labels=labels, most=ROWS, seed=0)
    assert not found(reply).any()


def test_columns_that_mark_planted_rows_are_found_each_row_of_them() -> None:
    inputs, labels = by_several_columns(np.random.default_rng(0))
    reply = trigger_mining(inputs=inputs, labels=labels, most=ROWS, seed=0, plant=0.03)
    hit, planted = found(reply), reply.arrays["planted"]
    assert max(hit[planted == which].mean() for which in (0, 1)) > 0.95
    assert hit[planted < 0].mean() < 0.01
