import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.intake.row_tree import changed_rows, row_tree

INPUTS = np.random.default_rng(0).random((50, 3), np.float32)
LABELS = np.arange(50) % 4


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 49), max_size=8), st.integers(1, 7))
def test_a_change_names_its_rows_and_no_others(rows: set[int], size: int) -> None:
    inputs = INPUTS.copy()
    inputs[sorted(rows)] += 1
    signed = row_tree(INPUTS, LABELS, rows_per_leaf=size)
    found = row_tree(inputs, LABELS, rows_per_leaf=size)
    named = {row for first, behind in changed_rows(signed, found) for row in range(first, behind)}
    assert rows <= named
    assert {row // size for row in named} == {row // size for row in rows}
    assert (signed.root == found.root) is (not rows)


def test_a_label_alone_is_a_change_and_the_kind_of_number_is_none() -> None:
    labels = LABELS.copy()
    labels[7] = 3 - labels[7]
    signed = row_tree(INPUTS, LABELS)
    assert changed_rows(signed, row_tree(INPUTS, labels)) == [(7, 8)]
    assert row_tree(INPUTS.astype(np.float64), LABELS.astype(np.int32)) == signed


def test_rows_at_the_end_are_named_too() -> None:
    signed = row_tree(INPUTS[:40], LABELS[:40])
    assert changed_rows(signed, row_tree(INPUTS, LABELS)) == [(40, 50)]


def test_leaves_of_different_size_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different size"):
        changed_rows(row_tree(INPUTS, LABELS), row_tree(INPUTS, LABELS, rows_per_leaf=2))


def test_number_of_rows_and_size_of_a_leaf_are_signed_with_the_root() -> None:
    whole = row_tree(INPUTS, LABELS)
    assert whole.root != whole._replace(rows=49).root
    assert whole.root != whole._replace(rows_per_leaf=2).root
