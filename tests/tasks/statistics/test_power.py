import numpy as np
import pytest
from scipy import stats

from tasks.statistics.power import fixed_sample_size

# Methods notes, section 1.7: a model of 53.4 % robust accuracy, alpha 0.01, power 95 %.
TABLE = {0.30: 68, 0.40: 221, 0.45: 562, 0.48: 1387, 0.60: 906, 0.65: 293}


@pytest.mark.parametrize(("threshold", "size"), TABLE.items())
def test_agrees_with_the_table(threshold: float, size: int) -> None:
    # The table may take the first size that does; here the next ten must hold as well.
    found = fixed_sample_size(0.534, threshold, alpha=0.01)
    assert found is not None
    assert size <= found <= 1.12 * size


@pytest.mark.parametrize(("rate", "threshold"), [(0.7, 0.5), (0.2, 0.4), (0.95, 0.9)])
def test_the_size_has_its_power_and_no_more_errors_than_agreed(
    rate: float, threshold: float
) -> None:
    size = fixed_sample_size(rate, threshold, alpha=0.05, power=0.9)
    assert size is not None
    if rate < threshold:
        rate, threshold = 1 - rate, 1 - threshold
    counts = np.arange(size + 1)
    rejects = stats.binom.sf(counts - 1, size, threshold) <= 0.05
    assert stats.binom.pmf(counts, size, rate)[rejects].sum() >= 0.9
    assert stats.binom.pmf(counts, size, threshold)[rejects].sum() <= 0.05


def test_equal_rates_need_more_than_there_is() -> None:
    assert fixed_sample_size(0.3, 0.3, alpha=0.01) is None
    assert fixed_sample_size(0.3001, 0.3, alpha=0.01) is None


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_impossible_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="must be in"):
        fixed_sample_size(0.5, threshold, alpha=0.01)
