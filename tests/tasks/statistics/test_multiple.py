import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from tasks.statistics.intervals import Floats
from tasks.statistics.multiple import (
    benjamini_hochberg,
    conformal_p_values,
    holm,
    tailed_p_values,
)

P_VALUES = arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1))


@given(P_VALUES)
def test_bh_agrees_with_scipy(p_values: Floats) -> None:
    adjusted = stats.false_discovery_control(p_values)
    # At the very edge the two round differently.
    if not np.isclose(adjusted, 0.05, rtol=1e-9).any():
        np.testing.assert_array_equal(benjamini_hochberg(p_values), adjusted <= 0.05)


@given(P_VALUES)
def test_holm_is_between_bonferroni_and_bh(p_values: Floats) -> None:
    bonferroni = p_values <= 0.05 / len(p_values)
    marked = holm(p_values)
    assert (bonferroni <= marked).all()
    assert (marked <= benjamini_hochberg(p_values)).all()


def test_the_textbook_example() -> None:
    p_values = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p_values).tolist() == [True, False, False, True]
    assert benjamini_hochberg(p_values).tolist() == [True, True, True, True]


def test_nothing_to_mark() -> None:
    for method in (holm, benjamini_hochberg):
        assert method(np.array([])).tolist() == []
        assert not method(np.array([0.9, 0.8])).any()


def test_one_false_alarm_among_many_is_as_rare_as_promised() -> None:
    """Methods notes, section 9.5: ten tests at 5 % each alarm in 40 % of the nights."""
    draws = np.random.default_rng(0).uniform(size=(400, 10))
    naive = np.mean((draws <= 0.05).any(axis=1))
    corrected = np.mean([holm(night).any() for night in draws])
    assert naive == pytest.approx(0.40, abs=0.07)
    assert corrected <= 0.08


def test_conformal_p_values_of_harmless_items_are_valid() -> None:
    rng = np.random.default_rng(0)
    rates = [
        np.mean(conformal_p_values(rng.normal(size=20), rng.normal(size=99)) <= 0.1)
        for _ in range(200)
    ]
    assert np.mean(rates) == pytest.approx(0.1, abs=0.02)


def test_conformal_p_values_count_themselves() -> None:
    found = conformal_p_values(np.array([10.0, 2.0, -1.0]), np.array([1.0, 2.0, 3.0]))
    assert found.tolist() == [1 / 4, 3 / 4, 1.0]


def test_what_is_not_a_chance_is_refused() -> None:
    for method in (holm, benjamini_hochberg):
        for values in ([1.1], [-0.1], [np.nan]):
            with pytest.raises(ValueError, match=r"outside 0\.\.1"):
                method(np.array(values))
        with pytest.raises(ValueError, match="alpha"):
            method(np.array([0.5]), 0)
    with pytest.raises(ValueError, match="at least one calibration score"):
        conformal_p_values(np.array([1.0]), np.array([]))
    with pytest.raises(ValueError, match="NaN"):
        conformal_p_values(np.array([np.nan]), np.array([1.0]))


def test_tailed_p_values_are_ranks_inside_and_fall_on_beyond() -> None:
    null = np.random.default_rng(0).exponential(size=2000)
    scores = np.array([0.0, np.median(null), 12.0, 25.0])
    values = tailed_p_values(scores, null)
    np.testing.assert_array_equal(values[:2], conformal_p_values(scores[:2], null))
    assert values[2] == pytest.approx(np.exp(-12), rel=3)
    assert values[3] < 1e-8
    assert (tailed_p_values(null, null) <= 0.05).mean() == pytest.approx(0.05, abs=0.01)
