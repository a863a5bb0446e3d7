import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from tasks.statistics.one_run import one_run_ceiling, one_run_epsilon, one_run_p_value


@pytest.mark.parametrize(
    ("canaries", "ceiling"), [(100, 3.49), (500, 5.11), (1000, 5.81), (5000, 7.42)]
)
def test_the_ceiling_is_the_published_table(canaries: int, ceiling: float) -> None:
    assert one_run_ceiling(canaries, delta=0.0) == pytest.approx(ceiling, abs=0.01)


@pytest.mark.parametrize(("share", "bound"), [(0.8, 1.25), (0.9, 2.02), (0.95, 2.70)])
def test_a_thousand_canaries_prove_what_the_table_says(share: float, bound: float) -> None:
    found = one_run_epsilon(round(1000 * share), 1000, delta=0.0, items=1000)
    assert found == pytest.approx(bound, abs=0.01)


def test_a_delta_takes_something_away() -> None:
    exact, lax = (one_run_epsilon(900, 1000, delta=delta, items=1000) for delta in (0.0, 1e-4))
    assert 0 < lax < exact


def test_a_true_epsilon_is_seldom_refuted() -> None:
    rng = np.random.default_rng(0)
    right = rng.binomial(400, special.expit(1.0), 500)
    bounds = [one_run_epsilon(int(n), 400, delta=0.0, items=400, alpha=0.05) for n in right]
    assert np.mean(np.array(bounds) > 1.0) <= stats.binom.ppf(0.999, 500, 0.05) / 500


@given(st.integers(0, 300), st.integers(0, 300), st.sampled_from([0.0, 1e-5, 1e-2]))
def test_more_right_guesses_never_prove_less(first: int, second: int, delta: float) -> None:
    few, many = sorted((first, second))
    assert one_run_epsilon(few, 300, delta=delta, items=300) <= (
        one_run_epsilon(many, 300, delta=delta, items=300) + 1e-5
    )


def test_chances_are_chances_and_nonsense_is_refused() -> None:
    assert one_run_p_value(0, 10, epsilon=0, delta=0.5, items=10) == 1
    assert one_run_epsilon(0, 0, delta=0, items=10) == 0
    assert one_run_epsilon(9_000_00, 9_000_00, delta=0, items=9_000_00) > 10
    with pytest.raises(ValueError, match="cannot be"):
        one_run_epsilon(5, 4, delta=0, items=10)
