"""Imitated clients are what the recipe says, and the same for the same seed."""

import numpy as np
import pytest

from tasks.detectors.telemetry.traffic import (
    KINDS,
    MOST,
    WEEK_SECONDS,
    Client,
    Pool,
    bursty_gaps,
    honest_client,
)

RNG = np.random.default_rng(0)
POOL = Pool(RNG.uniform(0, 1, (300, 1, 4, 4)).astype(np.float32), RNG.integers(0, 5, 300))
GAPS = bursty_gaps(0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_stays_within_week_range_and_shape(kind: str) -> None:
    for seed in range(20):
        client = honest_client(POOL, GAPS, seed, kind=kind)
        assert client.kind == kind
        assert client.inputs.dtype == np.float32
        assert client.inputs.shape[1:] == (1, 4, 4)
        assert 25 <= len(client.inputs) == len(client.times) <= MOST
        assert 0 <= client.inputs.min() <= client.inputs.max() <= 1
        assert (np.diff(client.times) >= 0).all()
        assert client.times[-1] <= WEEK_SECONDS


def test_equal_seeds_are_equal_clients() -> None:
    one, same, other = (honest_client(POOL, GAPS, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.inputs, same.inputs)
    assert not np.array_equal(one.inputs[:25], other.inputs[:25])


def test_repeats_are_as_many_as_the_recipe_says() -> None:
    plain = [repeated(honest_client(POOL, GAPS, seed, kind="plain")) for seed in range(60)]
    retrying = [repeated(honest_client(POOL, GAPS, seed, kind="retrying")) for seed in range(60)]
    assert 0.02 < np.mean(plain) < 0.2
    assert np.mean(retrying) > 2 * np.mean(plain)


def test_batch_jobs_come_at_once() -> None:
    spans = [np.ptp(honest_client(POOL, GAPS, seed, kind="batch").times) for seed in range(20)]
    assert np.median(spans) < 3600


def test_kinds_come_in_their_shares() -> None:
    kinds = [honest_client(POOL, GAPS, seed).kind for seed in range(600)]
    for kind, share in KINDS.items():
        assert kinds.count(kind) / 600 == pytest.approx(share, abs=0.06)


def repeated(client: Client) -> float:
    """Share of items that are exactly the one before or one of the three before that."""
    flat = client.inputs.reshape(len(client.inputs), -1)
    same = [
        any((flat[at] == flat[earlier]).all() for earlier in range(max(0, at - 4), at))
        for at in range(len(flat))
    ]
    return float(np.mean(same))
