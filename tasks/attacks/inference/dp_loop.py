"""A small DP-SGD loop, many runs at once, right or with one of the known mistakes.

It is the court's witness: run as declared, it shows what the declared settings leak at worst; run
with a planted mistake, it shows that the court would see one. Numpy only.

The model is logistic regression. The canary has a coordinate of its own, so that nothing but noise
hides it, and a gradient far above the clipping norm.

Source: Abadi et al. 2016, arXiv 1607.00133 (the loop); Tramèr et al. 2022, arXiv 2202.12219 and
methods notes 3.3 (the mistakes).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.statistics.intervals import Floats

ROWS, WIDTH = 40, 6
"""Other rows, and their features; the canary's coordinate comes on top."""
CANARY_SIZE = 1e4
BATCHED_RUNS = 500
MISTAKES = (
    "no_noise",
    "noise_scale_forgotten",
    "batch_clipping",
    "sampling_rate",
    "steps",
    "batch_norm",
    "noise_of_the_mean",
    "seed_reused",
)


class Settings(NamedTuple):
    """DP-SGD as it is declared."""

    noise_multiplier: float
    sample_rate: float
    steps: int
    max_gradient_norm: float = 4.0


def run_loop(
    settings: Settings, inside: NDArray[np.bool_], *, seed: int, mistake: str = ""
) -> Floats:
    """Trains once for each entry of ``inside``, with the canary or without.

    Args:
        settings: What is declared, and what an accountant was told.
        inside: Which runs get the canary (runs,).
        seed: Seeds sampling and noise.
        mistake: One of ``MISTAKES``, or nothing. "sampling_rate" and "steps" do ten times as much
            as is declared.

    Returns:
        Scores (runs, 3), higher with the canary: how far the canary's weight went, how much its
        steps differ from each other, and what released batch statistics say (0 without any).
    """
    if mistake and mistake not in MISTAKES:
        raise ValueError(f"{mistake!r} is not one of {', '.join(MISTAKES)}")
    rng = np.random.default_rng(seed)
    parts = [
        _batch(settings, inside[at : at + BATCHED_RUNS], rng, mistake)
        for at in range(0, len(inside), BATCHED_RUNS)
    ]
    return np.concatenate(parts)


def _batch(
    settings: Settings, inside: NDArray[np.bool_], rng: np.random.Generator, mistake: str
) -> Floats:
    rate = min(1.0, settings.sample_rate * (10 if mistake == "sampling_rate" else 1))
    steps = settings.steps * (10 if mistake == "steps" else 1)
    items, labels = _data()
    weights = np.zeros((len(inside), WIDTH + 1))
    noise = rng.normal(size=weights.shape)
    moved, seen = [], np.zeros(len(inside))
    for _ in range(steps):
        taken = rng.random((len(inside), len(items))) < rate
        taken[:, -1] &= inside
        if mistake != "seed_reused":
            noise = rng.normal(size=weights.shape)
        step = _step(settings, items, labels, weights, taken=taken, noise=noise, mistake=mistake)
        weights -= step / settings.max_gradient_norm
        moved.append(-step[:, -1])
        if mistake == "batch_norm":
            # A saved model holds running means, and no noise was ever added to them.
            seen += (taken @ items[:, -1]) / np.maximum(taken.sum(axis=1), 1)
    path = np.stack(moved, axis=1)
    return np.stack([path.sum(axis=1), np.ptp(path, axis=1), seen], axis=1)


def _data() -> tuple[Floats, Floats]:
    """Returns rows and their labels; the last row is the canary."""
    rng = np.random.default_rng(11)
    items = np.zeros((ROWS + 1, WIDTH + 1))
    items[:-1, :-1] = rng.normal(size=(ROWS, WIDTH))
    items[-1, -1] = CANARY_SIZE
    labels = (items.sum(axis=1) > 0).astype(np.float64)
    return items, labels


def _step(
    settings: Settings,
    items: Floats,
    labels: Floats,
    weights: Floats,
    *,
    taken: NDArray[np.bool_],
    noise: Floats,
    mistake: str,
) -> Floats:
    """Returns the noisy sum of clipped gradients of every run (runs, width)."""
    norm, sigma = settings.max_gradient_norm, settings.noise_multiplier
    expected = settings.sample_rate * len(items)
    if mistake == "batch_norm":
        return _normalised_sum(items, labels, weights, taken, norm) + sigma * norm * noise
    answers = 1 / (1 + np.exp(-np.clip(weights @ items.T, -30, 30)))
    # The canary's own answer is held undecided: a worst case that never stops to learn.
    answers[:, -1] = 0.5
    slopes = (answers - labels) * taken
    sizes = np.abs(slopes) * np.linalg.norm(items, axis=1)
    if mistake == "batch_clipping":
        mean = slopes @ items / expected
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        whole: Floats = mean * np.minimum(1, norm / np.maximum(length, 1e-12)) * expected
        return whole + sigma * norm * noise
    clipped = slopes * np.minimum(1, norm / np.maximum(sizes, 1e-12))
    scale = {
        "no_noise": 0.0,
        "noise_scale_forgotten": sigma,
        "noise_of_the_mean": sigma * norm / max(expected, 1.0),
    }.get(mistake, sigma * norm)
    total: Floats = clipped @ items + scale * noise
    return total


def _normalised_sum(
    items: Floats, labels: Floats, weights: Floats, taken: NDArray[np.bool_], norm: float
) -> Floats:
    """Normalises each feature over the batch first: every row's gradient then knows the canary."""
    shares = taken / np.maximum(taken.sum(axis=1, keepdims=True), 1)
    mean = shares @ items
    spread = np.sqrt(np.maximum(shares @ items**2 - mean**2, 0)) + 1e-3
    rows = (items[None] - mean[:, None]) / spread[:, None]
    answers = 1 / (1 + np.exp(-np.clip(np.einsum("rnw,rw->rn", rows, weights), -30, 30)))
    slopes = (answers - labels) * taken
    sizes = np.abs(slopes) * np.linalg.norm(rows, axis=2)
    slopes *= np.minimum(1, norm / np.maximum(sizes, 1e-12))
    total: Floats = np.einsum("rn,rnw->rw", slopes, rows)
    return total
