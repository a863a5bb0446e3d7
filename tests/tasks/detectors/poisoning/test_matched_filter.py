import numpy as np

from tasks.detectors.poisoning.matched_filter import blocks, filter_of, grown

RNG = np.random.default_rng(0)


def test_a_few_rows_grow_to_all_that_share_a_faint_pattern() -> None:
    labels = RNG.integers(0, 3, 1500)
    rows = (RNG.normal(size=(1500, 40)) + 2 * np.eye(3, 40)[labels]).astype(np.float32)
    carriers = np.flatnonzero(labels == 1)[:60]
    rows[carriers] += 1.6 * RNG.normal(size=40).astype(np.float32)
    start = np.concatenate([carriers[:20], np.flatnonzero(labels == 1)[-5:]])
    made = filter_of(rows, labels, classes=3, seed=0)
    found = grown(made, 1, start, others=np.flatnonzero(labels != 1))
    assert found is not None
    assert np.isin(found.rows, carriers).mean() > 0.9
    assert np.isin(carriers, found.rows).mean() > 0.9
    assert (found.p_values < 0.05).all()
    assert (rows[carriers] @ found.weights).mean() > found.least


def test_rows_that_show_the_pattern_faintly_are_left_out() -> None:
    labels = RNG.integers(0, 3, 1500)
    rows = (RNG.normal(size=(1500, 40)) + 2 * np.eye(3, 40)[labels]).astype(np.float32)
    own, pattern = np.flatnonzero(labels == 1), RNG.normal(size=40).astype(np.float32)
    carriers, alike = own[:60], own[60:100]
    rows[carriers] += 2.5 * pattern
    rows[alike] += 0.6 * pattern
    made = filter_of(rows, labels, classes=3, seed=0)
    found = grown(made, 1, own[:100], others=np.flatnonzero(labels != 1))
    assert found is not None
    np.testing.assert_array_equal(found.rows, carriers)


def test_rows_that_share_nothing_dissolve_or_stay_few() -> None:
    labels = RNG.integers(0, 3, 1500)
    rows = (RNG.normal(size=(1500, 40)) + 2 * np.eye(3, 40)[labels]).astype(np.float32)
    start = np.flatnonzero(labels == 1)[:25]
    made = filter_of(rows, labels, classes=3, seed=0)
    found = grown(made, 1, start, others=np.flatnonzero(labels != 1))
    assert found is None or len(found.rows) < 15


def test_large_pictures_are_averaged_to_what_a_covariance_can_hold() -> None:
    small = blocks(np.ones((2, 3, 100, 130), np.float32))
    assert small[0].size <= 4096
    assert (small == 1).all()
