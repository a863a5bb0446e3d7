"""The threshold keeps its promise: on average and with the stated confidence."""

import numpy as np
import pytest
from pydantic import ValidationError

from tasks.detectors.telemetry.calibration import Calibration, calibrated
from tasks.detectors.telemetry.scoring import NAMES
from tasks.detectors.telemetry.trail import Floats


def accounts(count: int, seed: int) -> list[Floats]:
    """Heavy-tailed scores of accounts of different lengths, dependent within an account."""
    rng = np.random.default_rng(seed)
    odd = rng.standard_t(3, (count, 1, len(NAMES)))
    lengths = rng.integers(1, 5, count)
    return [odd[at] + rng.normal(size=(n, len(NAMES))) for at, n in enumerate(lengths)]


def false_alarms(calibration: Calibration, fresh: list[Floats]) -> float:
    standing = [calibration.standing(rows).max() for rows in fresh]
    return float(np.mean(np.array(standing) > calibration.threshold))


def test_the_realised_rate_stays_below_the_budget_19_times_in_20() -> None:
    fresh = accounts(8000, 1)
    over = 0
    for seed in range(30):
        calibration = calibrated(accounts(600, 100 + seed), unit=1.0, budget=0.02)
        assert calibration.keeps_budget
        over += false_alarms(calibration, fresh) > 0.02
    assert over <= 5  # binomial(30, 0.05) exceeds 5 three times in a thousand


def test_too_few_accounts_promise_less_than_was_asked() -> None:
    calibration = calibrated(accounts(400, 2), unit=1.0, budget=0.001)
    assert not calibration.keeps_budget
    assert calibration.bound == pytest.approx(1 - 0.05 ** (1 / 200), rel=1e-6)


def test_a_monitor_that_never_speaks_never_alarms() -> None:
    silent = [np.full((3, len(NAMES)), -np.inf) for _ in range(100)]
    rng = np.random.default_rng(0)
    for rows in silent:
        rows[:, 0] = rng.normal(size=3)
    calibration = calibrated(silent, unit=1.0, budget=0.1)
    loud = np.full((1, len(NAMES)), -np.inf)
    loud[0, 1] = 100.0
    assert false_alarms(calibration, [loud]) == 0


def test_too_few_accounts_are_told() -> None:
    with pytest.raises(ValueError, match="too few"):
        calibrated(accounts(39, 0), unit=1.0, budget=0.01)


def test_a_calibration_is_read_as_it_was_written_and_by_the_same_monitors_only() -> None:
    calibration = calibrated(accounts(100, 0), unit=1.5, budget=0.1, source="test")
    assert Calibration.parse(calibration.canonical()) == calibration
    other = calibration.model_dump(mode="json") | {"names": ["x"], "middle": [0], "width": [1]}
    with pytest.raises(ValidationError, match="other monitors"):
        Calibration.model_validate(other)
