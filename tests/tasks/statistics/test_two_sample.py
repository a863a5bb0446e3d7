"""Two samples by their counts, against scipy and by simulation."""

import numpy as np
import pytest
from scipy import stats

from tasks.statistics.two_sample import (
    distance_interval,
    homogeneity,
    kolmogorov_smirnov,
    stability_index,
    total_variation,
)


def test_chi_square_is_scipys() -> None:
    one, two = np.array([50, 30, 20]), np.array([80, 90, 30])
    expected = stats.chi2_contingency(np.array([one, two]), correction=False)
    found = homogeneity(one, two)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_kolmogorov_smirnov_is_scipys_where_every_value_has_its_cell() -> None:
    rng = np.random.default_rng(1)
    one, two = rng.normal(size=900), rng.normal(0.1, 1, size=700)
    every = np.sort(np.concatenate([one, two]))
    counts = [
        np.diff(np.searchsorted(np.sort(x), every, side="right"), prepend=0) for x in (one, two)
    ]
    found = kolmogorov_smirnov(*counts)
    exact = stats.ks_2samp(one, two, method="asymp")
    assert found.statistic == pytest.approx(exact.statistic)
    assert found.p_value == pytest.approx(exact.pvalue, rel=0.15)


@pytest.mark.parametrize(("m", "n"), [(100, 100), (500, 200), (5000, 5000)])
def test_the_stability_index_keeps_its_level_at_every_size(m: int, n: int) -> None:
    rng, share = np.random.default_rng(2), np.full(10, 0.1)
    p_values, indices = [], []
    for _ in range(500):
        found = stability_index(rng.multinomial(m, share), rng.multinomial(n, share))
        p_values.append(found.p_value)
        indices.append(found.statistic)
    assert np.mean(np.array(p_values) < 0.05) < 0.09
    if m == 100:
        # The rule of thumb calls most unchanged samples of this size changed.
        assert np.mean(np.array(indices) > 0.1) > 0.6


def test_a_total_variation_interval_is_wider_with_more_cells() -> None:
    few, many = (distance_interval(0.3, 9000, 9000, cells=cells) for cells in (3, 50))
    assert few.low > many.low
    assert few.high < many.high


def test_nothing_to_compare_is_no_difference_and_no_certainty() -> None:
    none, some = np.zeros(4, dtype=np.int64), np.array([1, 2, 3, 4])
    assert homogeneity(none, some).p_value == 1
    assert kolmogorov_smirnov(none, some).p_value == 1
    assert total_variation(none, some) == 0
    assert distance_interval(0.0, 0, 10).high == 1


def test_rare_cells_are_put_together_before_the_test() -> None:
    one, two = np.array([100, 1, 1, 1, 0, 2]), np.array([100, 0, 2, 1, 1, 0])
    assert homogeneity(one, two).cells < 6
