"""The Shapiro-Wilk statistic against SciPy's."""

import numpy as np
import pytest
from scipy import stats

from tasks.statistics.normality import shapiro_wilk


@pytest.mark.parametrize("n", [12, 13, 50, 100, 999, 5000])
@pytest.mark.parametrize("kind", ["normal", "exponential", "uniform", "two lumps"])
def test_equals_scipy(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    drawn = {
        "normal": rng.normal(5, 2, n),
        "exponential": rng.exponential(1, n),
        "uniform": rng.uniform(0, 1, n),
        "two lumps": rng.normal(0, 0.1, n) + (rng.random(n) < 0.5),
    }[kind]
    assert shapiro_wilk(drawn) == pytest.approx(float(stats.shapiro(drawn).statistic), abs=1e-6)


def test_equal_values_are_not_normal() -> None:
    assert shapiro_wilk(np.ones(20)) == 0.0


@pytest.mark.parametrize("n", [0, 11, 5001])
def test_other_counts_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="12 to 5000"):
        shapiro_wilk(np.zeros(n))
