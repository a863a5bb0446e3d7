import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from tasks.domain.estimate import Estimate
from tasks.statistics.intervals import binomial, bootstrap, difference, wilson

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def mean(rows: NDArray[np.generic]) -> float:
    return float(np.mean(rows.astype(np.float64)))


def covered(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


@given(COUNTS, st.sampled_from([0.8, 0.95, 0.999]))
def test_both_intervals_agree_with_scipy(counts: tuple[int, int], confidence: float) -> None:
    oracle = stats.binomtest(*counts)
    for ours, method in ((binomial, "exact"), (wilson, "wilson")):
        found = ours(*counts, confidence)
        low, high = oracle.proportion_ci(confidence, method=method)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
        assert (found.value, found.n) == (counts[0] / counts[1], counts[1])


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.93])
@pytest.mark.parametrize("n", [5, 40, 200])
def test_the_exact_interval_covers_at_least_as_often_as_it_says(rate: float, n: int) -> None:
    """Coverage is summed over all counts, so nothing here is random."""
    counts = np.arange(n + 1)
    chances = stats.binom.pmf(counts, n, rate)
    covers = [covered(binomial(int(count), n), rate) for count in counts]
    assert chances @ covers >= 0.95


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_score_interval_covers_about_as_often_as_it_says(rate: float) -> None:
    counts = np.arange(81)
    covers = [covered(wilson(int(count), 80), rate) for count in counts]
    assert stats.binom.pmf(counts, 80, rate) @ covers == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("counts", [(0, 0), (-1, 5), (6, 5)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int]) -> None:
    for interval in (binomial, wilson):
        with pytest.raises(ValueError, match="trial"):
            interval(*counts)
    with pytest.raises(ValueError, match="trial"):
        difference(counts, (1, 2))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_chance(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        binomial(1, 2, confidence)


# Newcombe 1998, Table II, method 10.
NEWCOMBE = [
    ((56, 70), (48, 80), 0.0524, 0.3339),
    ((9, 10), (3, 10), 0.1705, 0.8090),
    ((5, 56), (0, 29), -0.0381, 0.1926),
    ((10, 10), (0, 10), 0.6075, 1.0000),
]


@pytest.mark.parametrize(("first", "second", "low", "high"), NEWCOMBE)
def test_differences_are_those_of_the_paper(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    found = difference(first, second)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    turned = difference(second, first)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize("corrected", [True, False])
def test_the_bootstrap_covers_about_as_often_as_it_says(corrected: bool) -> None:
    hits = 0
    for seed in range(60):
        rows = np.random.default_rng(seed).exponential(size=60)
        found = bootstrap(rows, mean, seed=seed, resamples=200, corrected=corrected)
        hits += covered(found, 1.0)
    assert hits >= 50  # 95 % would be 57; fewer than 50 has chance below 0.1 %


def test_the_corrected_bootstrap_agrees_with_scipy() -> None:
    rows = np.random.default_rng(0).exponential(size=80)
    found = bootstrap(rows, mean, seed=1, resamples=4000)
    oracle = stats.bootstrap((rows,), np.mean, n_resamples=4000, method="BCa", rng=2)
    expected = (oracle.confidence_interval.low, oracle.confidence_interval.high)
    assert (found.low, found.high) == pytest.approx(expected, rel=0.02)


def test_equal_seeds_give_equal_bootstraps() -> None:
    rows = np.arange(20.0)
    first, again, other = (bootstrap(rows, mean, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_constant_statistic_has_no_width() -> None:
    found = bootstrap(np.ones(10), mean, seed=0)
    assert (found.low, found.value, found.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(("rows", "resamples"), [(1, 1000), (10, 99)])
def test_a_bootstrap_of_too_little_is_refused(rows: int, resamples: int) -> None:
    with pytest.raises(ValueError, match="at least 2 and 100"):
        bootstrap(np.arange(rows), lambda _: 0.0, seed=0, resamples=resamples)


def test_low_tails_need_samples() -> None:
    """Methods notes, section 0.7: the true rate behind a nominal 0.1 %."""
    few, many = binomial(1, 1_000), binomial(10, 10_000)
    assert (few.low, few.high) == pytest.approx((0.00003, 0.0056), abs=0.00005)
    assert (many.low, many.high) == pytest.approx((0.00048, 0.0018), abs=0.00005)
