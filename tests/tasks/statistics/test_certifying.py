"""Bounds that hold at every look, against simulation and against the fixed-sample interval."""

import numpy as np
import pytest

from tasks.statistics.certifying import rate_bounds
from tasks.statistics.intervals import binomial


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.9, 0.999])
def test_is_seldom_ever_wrong_although_one_looks_all_the_time(rate: float) -> None:
    rng = np.random.default_rng(0)
    votes = (rng.random((400, 600)) < rate).cumsum(axis=1)
    ever_low = np.zeros(400, bool)
    ever_high = np.zeros(400, bool)
    for at in range(10, 601, 10):
        low, high = rate_bounds(votes[:, at - 1], np.full(400, at), 0.05)
        ever_low |= low > rate
        ever_high |= high < rate
    assert ever_low.mean() <= 0.05 + 0.03
    assert ever_high.mean() <= 0.05 + 0.03


def test_is_a_little_wider_than_an_interval_for_one_look() -> None:
    low, high = rate_bounds(np.array([900]), np.array([1000]), 0.025)
    one_look = binomial(900, 1000)
    assert one_look.low - 0.03 < low[0] < one_look.low
    assert one_look.high < high[0] < one_look.high + 0.03


def test_ends() -> None:
    low, high = rate_bounds(np.array([0, 0, 10]), np.array([0, 10, 10]), 0.05)
    assert (low[0], high[0]) == (0, 1)
    assert low[1] == 0
    assert high[2] == 1
    assert 0.5 < low[2] < 1


@pytest.mark.parametrize(("wins", "trials", "alpha"), [(3, 2, 0.1), (-1, 2, 0.1), (1, 2, 0.0)])
def test_refuses_nonsense(wins: int, trials: int, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha|successes"):
        rate_bounds(np.array([wins]), np.array([trials]), alpha)
