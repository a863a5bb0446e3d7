import numpy as np

from tasks.detectors.data.profile import fingerprints, profile


def test_equal_items_have_equal_fingerprints_and_others_do_not() -> None:
    items = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    marks = fingerprints(items)
    assert marks[0] == marks[1] == marks[3]
    assert marks[0] != marks[2]


def test_copies_and_contradictions_are_marked_row_by_row() -> None:
    items = np.array([[1.0], [2.0], [1.0], [2.0], [3.0]], dtype=np.float32)
    table = profile(items, np.array([0, 0, 1, 0, 1]))
    assert table["copies"].tolist() == [0, 0, 1, 1, 0]
    assert table["contradicted"].tolist() == [1, 0, 1, 0, 0]
    assert table["label_share"].tolist() == [0.6, 0.6, 0.4, 0.6, 0.4]


def test_broken_values_do_not_hide_the_others() -> None:
    items = np.array([[np.nan, 0.5, 2.0], [np.inf, -np.inf, np.nan]], dtype=np.float32)
    table = profile(items, np.array([0, 1]))
    assert table["broken"].tolist() == [1, 3]
    assert (table["lowest"].tolist(), table["highest"].tolist()) == ([0.5, 0.0], [2.0, 0.0])


def test_only_small_flat_inputs_are_told_column_by_column() -> None:
    labels = np.array([0, 1])
    assert "x1" in profile(np.zeros((2, 2), np.float32), labels)
    assert "x1" not in profile(np.zeros((2, 201), np.float32), labels)
    assert "x1" not in profile(np.zeros((2, 1, 2), np.float32), labels)
