"""All monitors over one account, block by block."""

import importlib
from collections.abc import Callable, Iterator

import numpy as np

from tasks.detectors.telemetry.trail import BLOCK, PAST, Floats, Look, Trail, looked

MONITORS = (
    "nearest_distance", "distance_normality", "update_direction", "coverage_growth",
    "boundary_hugging", "distant_flips", "near_threshold", "evasion_cluster", "repeated_rows",
    "flood",
)  # fmt: skip
WINDOWS = (1, 4, 8)
"""Blocks over which a monitor's score is averaged: from a sharp look to a patient one."""
NAMES = tuple(f"{name}@{window * BLOCK}" for window in WINDOWS for name in MONITORS)
Monitor = Callable[[Look], float]


def monitors() -> tuple[Monitor, ...]:
    """Returns every monitor; each is the function of its module's name."""
    return tuple(
        getattr(importlib.import_module(f"tasks.detectors.telemetry.{name}"), name)
        for name in MONITORS
    )


class Follower:
    """Follows one account; keeps the last questions and scores, nothing else.

    Args:
        dimensions: Of the features.
        unit: The usual distance between natural inputs.
    """

    def __init__(self, dimensions: int, unit: float) -> None:
        self._unit, self._monitors = unit, monitors()
        self._past = Trail.empty(dimensions)
        self._recent = np.zeros(0)
        self._scores: list[Floats] = []
        self.count = 0

    def block(self, block: Trail) -> Floats:
        """Takes the next block; returns one score per name of ``NAMES``.

        A patient score is minus infinity until its window is full.
        """
        look = looked(self._past, block, self._recent, self._unit)
        scores = np.array([monitor(look) for monitor in self._monitors])
        self._recent = look.recent_gaps
        self._past = self._past.joined(block).part(-PAST)
        self._scores = [*self._scores, scores][-max(WINDOWS) :]
        self.count += block.length
        return np.concatenate([self._averaged(window) for window in WINDOWS])

    def _averaged(self, window: int) -> Floats:
        if len(self._scores) < window:
            return np.full(len(MONITORS), -np.inf)
        averaged: Floats = np.mean(self._scores[-window:], axis=0)
        return averaged


def block_scores(trail: Trail, unit: float) -> Floats:
    """Returns (blocks, names) scores of a whole trail; items after the last full block wait."""
    follower = Follower(trail.features.shape[1], unit)
    rows = [follower.block(part) for part in blocks(trail)]
    return np.array(rows).reshape(len(rows), len(NAMES))


def blocks(trail: Trail) -> Iterator[Trail]:
    """Yields the full blocks of a trail."""
    for start in range(0, trail.length - BLOCK + 1, BLOCK):
        yield trail.part(start, start + BLOCK)


def usual_distance(features: Floats, *, seed: int = 0, pairs: int = 4000) -> float:
    """Returns the median distance between two natural inputs: the unit of all distances.

    Raises:
        ValueError: There are no two different inputs.
    """
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, len(features), (2, pairs))
    distances = np.linalg.norm(features[left] - features[right], axis=1)
    apart = distances[distances > 0]
    if not len(apart):
        raise ValueError("there are no two different inputs to measure a distance between")
    return float(np.median(apart))
