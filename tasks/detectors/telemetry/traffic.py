"""Honest traffic as far as a pool of natural inputs can imitate it: for calibration and tests.

Clients draw from real inputs with a class mix of their own; arrivals keep the bursts of the gaps
they are resampled from; 5 to 20 % are repeats and near-duplicates. Some clients are odd in ways
that matter because they look like attacks: noisy or drifted inputs, batch jobs, retries, health
checks, frames of one scene.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.telemetry.trail import Floats

Inputs = NDArray[np.float32]
WEEK_SECONDS = 7 * 86400.0
KINDS = {
    "plain": 0.70, "noisy": 0.08, "batch": 0.07, "retrying": 0.05, "frames": 0.05, "checking": 0.05,
}  # fmt: skip
MOST, FEWEST = 2000, 25


class Client(NamedTuple):
    """One honest account's week."""

    kind: str
    inputs: Inputs
    """(n, …) within the pool's range."""
    times: Floats
    """Seconds from the week's beginning, rising."""


class Pool(NamedTuple):
    """Natural inputs (n, …) with labels (n,), and the range they lie in."""

    inputs: Inputs
    labels: NDArray[np.int64]
    low: float = 0.0
    high: float = 1.0


def bursty_gaps(seed: int, count: int = 20_000) -> Floats:
    """Returns gaps between arrivals where no real ones are at hand: bursts, pauses, long tails."""
    rng = np.random.default_rng([seed, 77])
    calm = rng.random(count) < 0.2
    gaps: Floats = np.where(calm, rng.lognormal(1.0, 1.2, count), rng.lognormal(-3.0, 1.0, count))
    return gaps


def honest_client(pool: Pool, gaps: Floats, seed: int, *, kind: str = "") -> Client:
    """Draws one client.

    Args:
        pool: What clients own.
        gaps: Seconds between real arrivals; contiguous runs are taken, so that bursts stay.
        seed: Equal seeds give equal clients.
        kind: A key of ``KINDS``; drawn by its share when empty.
    """
    rng = np.random.default_rng([seed, 1805])
    kind = kind or str(rng.choice(list(KINDS), p=list(KINDS.values())))
    count = int(np.clip(rng.lognormal(4.8, 0.9), FEWEST, MOST))
    rows = _rows(pool, count, rng)
    inputs = pool.inputs[rows].astype(np.float32)
    span = pool.high - pool.low
    if kind == "noisy":
        inputs *= np.float32(rng.uniform(0.7, 1.0))
        inputs += np.float32(rng.uniform(0, 0.1) * span)
        inputs += rng.normal(0, rng.uniform(0.02, 0.1) * span, inputs.shape).astype(np.float32)
    elif kind == "frames":
        inputs = _frames(inputs, span, rng)
    elif kind == "checking":
        inputs[rng.random(count) < rng.uniform(0.3, 0.8)] = inputs[0]
    share = rng.uniform(0.05, 0.20) if kind != "retrying" else rng.uniform(0.2, 0.5)
    inputs = _repeated(inputs, share, span, rng, exactly=0.9 if kind == "retrying" else 0.5)
    inputs = np.clip(inputs, pool.low, pool.high).astype(np.float32)
    return Client(kind, inputs, _times(gaps, count, kind, rng))


def _rows(pool: Pool, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    classes = np.unique(pool.labels)
    mix = rng.dirichlet(np.full(len(classes), rng.uniform(0.5, 3)))
    weights = mix[np.searchsorted(classes, pool.labels)]
    weights = (
        weights
        / np.bincount(np.searchsorted(classes, pool.labels))[np.searchsorted(classes, pool.labels)]
    )
    return rng.choice(len(pool.labels), count, p=weights / weights.sum())


def _repeated(
    inputs: Inputs, share: float, span: float, rng: np.random.Generator, *, exactly: float
) -> Inputs:
    """Replaces a share of the items by recent ones, some exactly, some scanned once more."""
    inputs = inputs.copy()
    for place in np.flatnonzero(rng.random(len(inputs)) < share):
        if place == 0:
            continue
        earlier = max(0, int(place) - int(rng.geometric(0.3)))
        inputs[place] = inputs[earlier]
        if rng.random() > exactly:
            inputs[place] += rng.normal(0, rng.uniform(0.005, 0.03) * span, inputs.shape[1:])
    return inputs


def _frames(inputs: Inputs, span: float, rng: np.random.Generator) -> Inputs:
    """Shows each scene for a few frames that differ a little."""
    length = int(rng.integers(2, 7))
    shown = np.repeat(inputs[: -(-len(inputs) // length)], length, axis=0)[: len(inputs)]
    noise = rng.normal(0, rng.uniform(0.02, 0.06) * span, shown.shape)
    return (shown + noise).astype(np.float32)


def _times(gaps: Floats, count: int, kind: str, rng: np.random.Generator) -> Floats:
    """Spreads contiguous runs of real gaps over the week; a batch job sends all of it at once."""
    start = int(rng.integers(0, max(1, len(gaps) - count)))
    run = np.resize(gaps[start : start + count], count)
    visits = 1 if kind == "batch" else int(np.clip(rng.poisson(count / 30), 1, count))
    pauses = np.zeros(count)
    breaks = np.zeros(1, np.int64) if visits == 1 else rng.choice(count, visits, replace=False)
    pauses[breaks] = rng.dirichlet(np.ones(visits)) * WEEK_SECONDS * 0.8
    if kind == "batch":
        run = run * rng.uniform(0.01, 0.1)
    times: Floats = np.cumsum(run + pauses)
    within: Floats = times * min(1.0, WEEK_SECONDS / times[-1])
    return within
