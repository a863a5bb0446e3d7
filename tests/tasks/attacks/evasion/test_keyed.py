import numpy as np
from scipy import stats

from tasks.attacks.evasion.keyed import KeyRing, keys_of, uniform

ITEMS = np.random.default_rng(0).uniform(size=(6, 4)).astype(np.float32)


def test_draws_are_uniform_and_unrelated() -> None:
    keys = keys_of(np.arange(4000, dtype=np.float32)[:, None], seed=0, purpose="test")
    drawn = uniform(keys, np.zeros(4000, np.int64), 3)
    assert stats.kstest(drawn.ravel(), "uniform").pvalue > 0.001
    later = uniform(keys, np.ones(4000, np.int64), 3)
    for one, other in ((drawn[:, 0], drawn[:, 1]), (drawn[:, 0], later[:, 0])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.06


def test_a_draw_belongs_to_its_row() -> None:
    keys, counters = keys_of(ITEMS, seed=1, purpose="test"), np.array([0, 5, 5, 9, 2, 7])
    whole = uniform(keys, counters, 4)
    order = np.array([4, 0, 2])
    np.testing.assert_array_equal(uniform(keys[order], counters[order], 4), whole[order])


def test_item_seed_purpose_and_counter_all_matter() -> None:
    base = uniform(keys_of(ITEMS, seed=1, purpose="a"), np.zeros(6, np.int64), 2)
    for keys, counter in (
        (keys_of(ITEMS, seed=2, purpose="a"), 0),
        (keys_of(ITEMS, seed=1, purpose="b"), 0),
        (keys_of(ITEMS[::-1], seed=1, purpose="a"), 0),
        (keys_of(ITEMS, seed=1, purpose="a"), 1),
    ):
        assert not np.isclose(uniform(keys, np.full(6, counter), 2), base).any()


def test_every_restart_has_its_own_keys() -> None:
    ring = KeyRing(ITEMS, seed=0, purpose="test")
    points = np.array([0, 0, 1])
    keys = ring.of(points, np.array([0, 1, 0]))
    assert len(set(keys.tolist())) == 3
    np.testing.assert_array_equal(ring.of(points[1:], np.array([1, 0])), keys[1:])
