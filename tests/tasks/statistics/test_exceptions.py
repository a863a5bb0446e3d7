"""How many exceptions chance allows: exact laws against counts and simulation."""

from math import comb

import numpy as np
import pytest

from tasks.statistics.exceptions import most_expected, most_unseen


@pytest.mark.parametrize(("reference", "rows"), [(100, 50), (1000, 1000), (20, 300)])
def test_the_bound_is_the_first_count_that_is_improbable(reference: int, rows: int) -> None:
    alpha = 0.01
    most = most_unseen(reference, rows, alpha=alpha)
    chance = [comb(rows, k) / comb(reference + rows, k) for k in (most, most + 1)]
    assert chance[0] > alpha >= chance[1]


def test_no_row_breaks_nothing() -> None:
    assert most_unseen(100, 0, alpha=0.05) == 0


def test_values_beyond_a_trusted_range_keep_the_promised_rate() -> None:
    rng = np.random.default_rng(3)
    alpha, draws = 0.1, 2000
    most = most_unseen(200, 300, alpha=alpha)
    # A tail as heavy as they come: the law does not depend on it.
    values = rng.standard_cauchy((draws, 500))
    beyond = (values[:, 200:] > values[:, :200].max(axis=1, keepdims=True)).sum(axis=1)
    rate = float((beyond > most).mean())
    assert 0.02 < rate <= alpha + 3 * np.sqrt(alpha / draws)


def test_what_is_usual_keeps_the_promised_rate_and_what_doubled_does_not() -> None:
    rng = np.random.default_rng(4)
    alpha, share = 0.05, 0.1
    alarms = {share: 0, 2 * share: 0}
    for _ in range(400):
        seen = int(rng.binomial(2000, share))
        most = most_expected(seen, 2000, 2000, alpha=alpha)
        for now in alarms:
            alarms[now] += int(rng.binomial(2000, now)) > most
    assert alarms[share] <= 400 * alpha
    assert alarms[2 * share] == 400


def test_slack_is_a_share_of_rows() -> None:
    bare, with_slack = (most_expected(0, 1000, 1000, alpha=0.05, slack=s) for s in (0.0, 0.1))
    assert bare < 15
    assert 100 < with_slack < 150
