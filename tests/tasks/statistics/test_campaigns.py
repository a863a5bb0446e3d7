"""Watches over many nights: false alarms over the whole of them, power, and late changes."""

import numpy as np
import pytest
from scipy import stats

from tasks.statistics.campaigns import log_evidence, reference_band, share_of_alpha, stakes

RNG_NIGHTS = 60


def nights(seed: int, rate: float, rows: int, count: int = RNG_NIGHTS) -> np.ndarray:
    return np.random.default_rng(seed).binomial(rows, rate, size=(count, 1))


def evidence(
    wins: np.ndarray, rows: int, reference: tuple[int, int], tolerance: float = 0.0
) -> np.ndarray:
    band = reference_band(
        np.array([reference[0]]), np.array([reference[1]]), alpha=0.025, tolerance=tolerance
    )
    return log_evidence(wins, np.full_like(wins, rows), band)


def test_unchanged_nights_that_share_one_small_reference_keep_the_level() -> None:
    false = 0
    for seed in range(300):
        rng = np.random.default_rng(10_000 + seed)
        reference = int(rng.binomial(300, 0.4)), 300
        false += bool((evidence(nights(seed, 0.4, 200), 200, reference) >= np.log(1 / 0.025)).any())
    assert false <= stats.binom.ppf(0.999, 300, 0.05)


def test_a_rate_at_the_very_edge_of_the_band_keeps_the_level() -> None:
    # The hardest case: every night lies exactly where alarm would be next.
    band = reference_band(np.array([4000]), np.array([10_000]), alpha=0.025, tolerance=0.05)
    edge = float(band.high[0])
    over = 0
    for seed in range(300):
        wins = nights(seed, edge, 100)
        over += bool((log_evidence(wins, np.full_like(wins, 100), band) >= np.log(20)).any())
    assert over <= stats.binom.ppf(0.999, 300, 0.05)
    beyond = nights(1, edge + 0.1, 100)
    assert log_evidence(beyond, np.full_like(beyond, 100), band)[-1] >= np.log(20)


@pytest.mark.parametrize("change", [0, 20, 50])
def test_a_late_change_is_found_as_soon_as_an_early_one(change: int) -> None:
    wins = nights(1, 0.4, 200)
    wins[change:] = nights(2, 0.6, 200)[change:]
    logs = evidence(wins, 200, (40_000, 100_000), tolerance=0.05)
    found = np.flatnonzero(logs >= np.log(1000))
    assert len(found)
    assert change <= found[0] <= change + 4


def test_a_fall_is_found_like_a_rise() -> None:
    logs = evidence(nights(3, 0.2, 200), 200, (4000, 10_000))
    assert logs[-1] > np.log(1000)


def test_the_evidence_after_a_night_does_not_depend_on_later_ones() -> None:
    wins = nights(4, 0.5, 100)
    whole = evidence(wins, 100, (400, 1000))
    assert np.allclose(evidence(wins[:20], 100, (400, 1000)), whole[:20])


def test_nights_without_rows_change_nothing() -> None:
    band = reference_band(np.array([40]), np.array([100]), alpha=0.025, tolerance=0.0)
    nothing = np.zeros((5, 1), dtype=np.int64)
    assert np.allclose(log_evidence(nothing, nothing, band), 0)


def test_an_empty_reference_bounds_nothing() -> None:
    band = reference_band(np.array([0]), np.array([0]), alpha=0.025, tolerance=0.0)
    assert (float(band.low[0]), float(band.high[0])) == (0.0, 1.0)
    wins = nights(5, 0.9, 100)
    assert np.allclose(log_evidence(wins, np.full_like(wins, 100), band), 0)


def test_all_watches_of_a_series_spend_no_more_than_alpha() -> None:
    spent = [share_of_alpha(0.01, number) for number in range(1, 2000)]
    assert spent == sorted(spent, reverse=True)
    assert 0.0099 < sum(spent) < 0.01
    with pytest.raises(ValueError, match="from 1"):
        share_of_alpha(0.01, 0)


def test_the_stake_is_never_more_than_one() -> None:
    shares = stakes(5000)
    assert 0.9998 < shares.sum() < 1
    assert shares[364] > shares[365]


def test_a_one_sided_bet_ignores_falls() -> None:
    band = reference_band(np.array([4000]), np.array([10_000]), alpha=0.025, tolerance=0.0)
    wins = nights(6, 0.1, 200)
    assert log_evidence(wins, np.full_like(wins, 200), band, falls=False)[-1] < 0.1


def test_what_stays_within_the_tolerance_is_no_alarm_however_long() -> None:
    wins = nights(7, 0.43, 1000, count=120)
    reference = (400_000, 1_000_000)
    within = evidence(wins, 1000, reference, tolerance=0.05)
    assert float(within.max()) < np.log(40)
    assert evidence(wins, 1000, reference, tolerance=0.0)[-1] > np.log(1e6)
    low = nights(8, 0.37, 1000, count=120)
    assert float(evidence(low, 1000, reference, tolerance=0.05).max()) < np.log(40)
