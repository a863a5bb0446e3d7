"""The interval of a median holds it as often as it says, for any shape and any n."""

import numpy as np
import pytest

from tasks.statistics.quantiles import median


@pytest.mark.parametrize("n", [1, 5, 6, 20, 101])
@pytest.mark.parametrize("shape", ["normal", "skewed", "ties"])
def test_covers_the_true_median(n: int, shape: str) -> None:
    rng = np.random.default_rng(n)
    true = {"normal": 0.0, "skewed": float(np.log(2)), "ties": 1.0}[shape]
    hits = 0
    for _ in range(600):
        values = {
            "normal": rng.normal(size=n),
            "skewed": rng.exponential(size=n),
            "ties": rng.integers(0, 3, n).astype(float),
        }[shape]
        found = median(values, bounds=(-100, 100))
        hits += found.low <= true <= found.high
    assert hits / 600 >= 0.93


def test_few_values_enclose_nothing() -> None:
    found = median(np.array([0.3, 0.4]), bounds=(0, 1))
    assert (found.low, found.high) == (0, 1)


def test_many_values_make_it_narrow() -> None:
    found = median(np.linspace(0, 1, 401), bounds=(0, 1))
    assert 0.44 < found.low < 0.5 == found.value < found.high < 0.56


@pytest.mark.parametrize("values", [[], [1.0, np.inf], [np.nan]])
def test_refuses_what_has_no_median(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one value"):
        median(np.array(values), bounds=(0, 1))
