import numpy as np

from tasks.detectors.backdoor.pair_sizes import (
    SMALLEST_SPREAD,
    hidden_indices,
    log_ratios,
    most_odd,
    most_odd_targets,
    pair_indices,
    scale_of,
    size_limit,
)

CLASSES = 6


def sizes(seed: int) -> np.ndarray:
    """Neighbours near, others far: classes that differ by one are ten times nearer."""
    apart = np.abs(np.subtract.outer(np.arange(CLASSES), np.arange(CLASSES)))
    noise = np.random.default_rng(seed).normal(0, 0.1, apart.shape)
    table = np.where(apart == 1, 0.01, 0.1) * np.exp(noise)
    np.fill_diagonal(table, np.nan)
    return table


TWINS = np.stack([sizes(1), sizes(2)])


def test_a_near_pair_is_odd_only_where_the_twins_have_it_far() -> None:
    suspect = sizes(3)
    suspect[1, 4] = 0.012  # as near as honest neighbours are
    ratios = log_ratios(suspect, TWINS)
    indices = pair_indices(ratios, scale_of(ratios))
    assert most_odd(indices, 2)[0] == (1, 4)
    assert indices[1, 4] > 8
    assert np.sort(indices[np.isfinite(indices)])[-2] < 3


def test_a_model_that_is_easier_everywhere_has_no_odd_pair() -> None:
    ratios = log_ratios(sizes(3) / 3, TWINS)
    indices = pair_indices(ratios, scale_of(ratios))
    assert np.nanmax(indices) < 3


def test_many_small_pairs_do_not_hide_in_the_spread() -> None:
    suspect = sizes(3)
    suspect[:, 2] = np.where(np.isfinite(suspect[:, 2]), 0.004, np.nan)
    ratios = log_ratios(suspect, TWINS)
    scale = scale_of(ratios)
    assert scale.spread == SMALLEST_SPREAD
    indices = pair_indices(ratios, scale)
    assert np.nanmin(indices[[0, 4, 5], 2]) > 8
    assert most_odd_targets(indices, 1) == [2]


def test_a_size_at_its_limit_has_that_index() -> None:
    ratios = log_ratios(sizes(3), TWINS)
    scale = scale_of(ratios)
    suspect = sizes(3)
    suspect[0, 5] = size_limit(TWINS, scale, 4.0)[0, 5]
    assert np.isclose(pair_indices(log_ratios(suspect, TWINS), scale)[0, 5], 4)


def test_pairs_that_were_not_searched_are_never_odd() -> None:
    indices = np.full((3, 3), np.nan)
    indices[2, 0] = -1
    assert most_odd(indices, 3) == [(2, 0)]


def test_what_moves_the_twins_as_well_is_less_odd() -> None:
    assert hidden_indices(np.array([5.0, 5.0]), np.array([0.0, 0.3])).tolist() == [5, 2]
