import numpy as np
import pytest

from tasks.attacks.poisoning.planting import Floats
from tasks.detectors.poisoning.templates import picture_templates, table_templates
from tasks.detectors.poisoning.triggers import as_steady
from tasks.detectors.poisoning.views import view_of

RNG = np.random.default_rng(0)
OTHERS: Floats = RNG.random((400, 1, 10, 10), np.float32)
GROUP: Floats = RNG.random((60, 1, 10, 10), np.float32)


def test_a_patch_is_read_from_a_group_that_is_not_pure() -> None:
    group = GROUP.copy()
    group[:54, :, 2:4, 5:7] = 1.0
    patch = picture_templates(group, OTHERS, 0.0, 1.0)[0]
    expected = np.zeros((1, 10, 10), bool)
    expected[:, 2:4, 5:7] = True
    np.testing.assert_array_equal(patch.fixed, expected)
    stamped = patch.stamped(OTHERS)
    assert (stamped[:, :, 2:4, 5:7] == 1).all()
    np.testing.assert_array_equal(stamped[:, ~expected], OTHERS[:, ~expected])
    assert (patch.misfit(group[:54]) == 0).all()
    assert patch.misfit(group[54:]).min() > 0.05


@pytest.mark.parametrize("strength", [0.15, 0.3])
def test_an_overlay_is_read_with_what_it_leaves_of_the_row(strength: float) -> None:
    pattern = RNG.random((1, 10, 10), np.float32)
    group = (1 - strength) * RNG.random((500, 1, 10, 10), np.float32) + strength * pattern
    overlay = picture_templates(group, OTHERS, 0.0, 1.0)[-1]
    assert overlay.keep.mean() == pytest.approx(1 - strength, abs=0.03)
    assert np.corrcoef(overlay.shift.ravel(), pattern.ravel())[0, 1] > 0.9
    assert not overlay.fixed.any()


def test_a_group_without_a_stamp_shows_no_patch() -> None:
    assert [one for one in picture_templates(GROUP, OTHERS, 0.0, 1.0) if one.fixed.any()] == []


def test_stamped_columns_are_read_from_a_whole_class() -> None:
    own = RNG.integers(0, 200, (2000, 8)).astype(np.float32)
    others = RNG.integers(0, 200, (1000, 8)).astype(np.float32)
    own[:40, [1, 4, 6]] = [7, 11, 13]
    first = table_templates(own, others)[0]
    assert np.flatnonzero(first.fixed).tolist() == [1, 4, 6]
    assert first.shift[[1, 4, 6]].tolist() == [7, 11, 13]
    assert (first.misfit(own[:40]) == 0).all()
    assert (first.misfit(own[40:]) > 0).all()


def test_tables_are_shown_as_ranks_and_few_values_one_by_one() -> None:
    raw = np.column_stack([RNG.lognormal(0, 3, 500), RNG.integers(0, 3, 500)]).astype(np.float32)
    view = view_of(raw)
    shown = view.shown(raw)
    assert shown.shape == (500, 1 + 1 + 3)
    assert np.abs(shown).max() <= 1
    assert np.array_equal(np.argsort(shown[:, 0], kind="stable"), np.argsort(raw[:, 0]))
    beyond = view.shown(np.array([[1e9, 7]], np.float32))
    assert beyond[0, 0] == 1
    assert beyond[0, 2:].sum() == 0


def test_rows_that_resemble_a_stamp_are_told_from_rows_that_hold_it() -> None:
    exact = np.array([0.0, 0.0, 0.0, 0.004, 0.012])
    assert as_steady(exact, np.ones(5, bool)).tolist() == [True, True, True, False, False]
    # A stamp that was stored as JPEG is nowhere exact.
    stored = np.array([0.004, 0.006, 0.005, 0.014, 0.019])
    assert as_steady(stored, stored < 0.015).tolist() == [True, True, True, True, False]
