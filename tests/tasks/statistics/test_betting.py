import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.statistics.betting import GRID, MeanTest, Settled, confidence_sequence, duel
from tasks.statistics.intervals import Floats


def coins(rate: float, n: int, seed: int) -> Floats:
    return (np.random.default_rng(seed).uniform(size=n) < rate).astype(np.float64)


# Methods notes, section 1.7, a model with 53.4 % robust accuracy: threshold, answer, mean number of
# points and share decided within 1,000. The notes' means are over 300 to 600 replicas.
TABLE = [
    (0.30, Settled.ABOVE, 49, 1.0),
    (0.40, Settled.ABOVE, 163, 1.0),
    (0.45, Settled.ABOVE, 412, 0.97),
    (0.60, Settled.BELOW, 608, 0.78),
    (0.65, Settled.BELOW, 202, 1.0),
]


@pytest.mark.parametrize(("threshold", "answer", "points", "decided"), TABLE)
def test_the_computed_table_is_reproduced(
    threshold: float, answer: Settled, points: int, decided: float
) -> None:
    found = [duel(coins(0.534, 1000, seed), threshold, 0.01) for seed in range(40)]
    settled = [one for one in found if one.answer is not Settled.OPEN]
    assert {one.answer for one in settled} == {answer}
    assert len(settled) / len(found) == pytest.approx(decided, abs=0.15)
    assert np.mean([one.samples for one in found]) == pytest.approx(points, rel=0.25)


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7])
def test_a_mean_at_the_threshold_is_seldom_called_either_way(rate: float) -> None:
    """However often one looks: 5 % each side are allowed in 200 runs of 200 samples."""
    found = [duel(coins(rate, 200, seed), rate, 0.05).answer for seed in range(200)]
    assert found.count(Settled.ABOVE) <= 17  # above 17 of 200 has chance 1 % at 5 %
    assert found.count(Settled.BELOW) <= 17


def test_means_need_not_be_of_coins() -> None:
    samples = np.random.default_rng(0).beta(2, 2, 400)
    assert duel(samples, 0.4, 0.01).answer is Settled.ABOVE
    assert duel(samples, 0.6, 0.01).answer is Settled.BELOW
    assert duel(samples, 0.5, 0.01).answer is Settled.OPEN


def test_a_loss_of_four_points_is_proven_on_discordant_pairs() -> None:
    """Methods notes, section 0.4: 5 % lost and 1 % gained is proven after about 370 points."""
    needed = []
    for seed in range(60):
        draws = np.random.default_rng(seed).uniform(size=5000)
        lost = draws[draws < 0.06] < 0.05
        found = duel(lost.astype(np.float64), 0.5, 0.01)
        assert found.answer is Settled.ABOVE
        needed.append(found.samples / 0.06)
    assert np.mean(needed) == pytest.approx(370, rel=0.3)


def test_once_settled_it_stays_settled() -> None:
    test = MeanTest(0.5, 0.05)
    while test.add(1.0) is Settled.OPEN:
        pass
    settled_after = test.samples
    assert test.wealth[0] >= 20
    for _ in range(5):
        assert test.add(0.0) is Settled.ABOVE
    assert settled_after < 10


def test_a_settled_duel_stops_reading() -> None:
    found = duel(np.ones(1000), 0.5, 0.01)
    assert found.samples < 20
    assert found.wealth_above >= 100
    assert found.wealth_below < 1


@pytest.mark.parametrize(("threshold", "alpha"), [(0, 0.1), (1, 0.1), (0.5, 0), (0.5, 1)])
def test_numbers_outside_their_range_are_refused(threshold: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        MeanTest(threshold, alpha)


def test_samples_outside_their_range_are_refused() -> None:
    for sample in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="outside"):
            MeanTest(0.5, 0.1).add(sample)
        with pytest.raises(ValueError, match="outside"):
            confidence_sequence(np.array([0.5, sample]))
    with pytest.raises(ValueError, match="at least one"):
        confidence_sequence(np.array([]))


def test_the_sequence_holds_the_mean_at_every_moment() -> None:
    """Looked at after 10, 30 and 100 samples, it may miss in 5 % of 60 runs."""
    missed = 0
    for seed in range(60):
        samples = coins(0.3, 100, seed)
        looks = [confidence_sequence(samples[:n]) for n in (10, 30, 100)]
        missed += any(not look.low <= 0.3 <= look.high for look in looks)
    assert missed <= 7  # above 7 of 60 has chance 1 % at 5 %


def test_the_sequence_narrows_and_never_widens_but_to_hold_the_mean() -> None:
    samples = coins(0.3, 800, 0)
    widths = [(look := confidence_sequence(samples[:n])).high - look.low for n in (50, 200, 800)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.15


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_test_and_the_sequence_agree(samples: list[float]) -> None:
    found = confidence_sequence(np.array(samples), 0.9)
    test = MeanTest(0.5, 0.05)
    for sample in samples:
        test.add(sample)
    if test.answer is Settled.ABOVE:
        assert found.low >= 0.5 - 1e-3 or found.low == found.value
    if test.answer is Settled.BELOW:
        assert found.high <= 0.5 + 1e-3 or found.high == found.value


@pytest.mark.parametrize("seed", range(4))
def test_the_ends_of_the_sequence_are_where_the_test_settles(seed: int) -> None:
    samples = coins(0.3, 300, seed)
    found, step = confidence_sequence(samples, 0.9), 2 / GRID
    assert duel(samples, found.low - step, 0.05).answer is Settled.ABOVE
    assert duel(samples, found.low + step, 0.05).answer is not Settled.ABOVE
    assert duel(samples, found.high + step, 0.05).answer is Settled.BELOW
    assert duel(samples, found.high - step, 0.05).answer is not Settled.BELOW
