"""The alpha that repetitions may cost: sums, widening, and the false alarms that remain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import binomial
from tasks.statistics.wealth import at_alpha, spend


def test_all_nights_together_cost_no_more_than_the_total() -> None:
    spent = sum(spend(night, 0.05) for night in range(1, 200_000))
    assert 0.0499 < spent < 0.05


@pytest.mark.parametrize(("number", "total"), [(0, 0.05), (-1, 0.05), (1, 0.0), (1, 1.0)])
def test_what_makes_no_sense_is_refused(number: int, total: float) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        spend(number, total)


@given(st.integers(1, 500), st.data())
def test_an_interval_is_never_narrowed_and_later_tests_are_wider(
    n: int, data: st.DataObject
) -> None:
    estimate = binomial(data.draw(st.integers(0, n)), n)
    widths = [
        (wide := at_alpha(estimate, spend(number))).high - wide.low for number in (1, 2, 5, 50)
    ]
    assert widths == sorted(widths)
    assert widths[0] >= estimate.high - estimate.low
    first = at_alpha(estimate, spend(1))
    assert first.low <= estimate.low <= estimate.value <= estimate.high <= first.high


def test_what_was_counted_completely_has_no_chance_to_ration() -> None:
    exact = Estimate.exact(0.25, n=40)
    assert at_alpha(exact, 1e-6) == exact


@pytest.mark.parametrize("n", [20, 100, 400])
@pytest.mark.parametrize("truth", [0.02, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("night", [1, 3, 10])
def test_a_rate_on_its_threshold_alarms_no_more_often_than_its_alpha(
    n: int, truth: float, night: int
) -> None:
    """Exact: sums the chance of every outcome whose interval lies beyond the truth."""
    from scipy import stats  # noqa: PLC0415

    alpha = spend(night)
    wide = [at_alpha(binomial(k, n), alpha) for k in range(n + 1)]
    chance = stats.binom.pmf(np.arange(n + 1), n, truth)
    below = sum(p for p, one in zip(chance, wide, strict=True) if one.high < truth)
    above = sum(p for p, one in zip(chance, wide, strict=True) if one.low > truth)
    assert max(below, above) <= alpha * (1 + 1e-9)


def test_ninety_nights_cry_wolf_as_rarely_as_promised() -> None:
    """Simulated campaigns: the promise is 5 % for each control, never exceeded over all nights."""
    rng = np.random.default_rng(20_260_101)
    n, truth, nights, controls = 200, 0.5, 90, 400
    rates = [binomial(k, n) for k in range(n // 2)]
    limits = np.array(
        [
            sum(at_alpha(rate, spend(night)).high < truth for rate in rates[40:90]) + 39
            for night in range(1, nights + 1)
        ]
    )
    drawn = rng.binomial(n, truth, (controls, nights))
    alarmed = (drawn <= limits).any(axis=1).mean()
    plain = sum(rate.high < truth for rate in rates) - 1
    assert alarmed <= 0.05 + 3 * (0.05 * 0.95 / controls) ** 0.5
    assert (drawn <= plain).any(axis=1).mean() > 0.7, "what happens without rationing"
