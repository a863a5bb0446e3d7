import numpy as np
import pytest

from tasks.statistics.gains import gain_over, mean_gain


def test_the_interval_holds_the_true_gain() -> None:
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        first = rng.choice([-1, 0, 1], 120, p=[0.1, 0.6, 0.3])
        second = rng.choice([-1, 0, 1], 90, p=[0.2, 0.6, 0.2])
        found = gain_over(first, second)
        held += found.low <= 0.2 <= found.high
    assert 275 <= held <= 299


def test_equal_answers_still_leave_doubt() -> None:
    found = mean_gain(np.zeros(50))
    assert found.low < 0 < found.high < 0.1
    assert mean_gain(np.ones(3)).high == 1


@pytest.mark.parametrize("gains", [[], [0.5], [2], [float("nan")]], ids=str)
def test_other_numbers_are_no_gains(gains: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one is needed"):
        mean_gain(np.array(gains))
