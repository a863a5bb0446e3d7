"""Turning and shifting pictures, computed here in NumPy so that the caller can do it again."""

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.corruptions.picture import Layout, grid, sampled

Pose = NDArray[np.float64]
"""(n, 3): degrees anticlockwise, rows down and columns right as shares of the sides."""


def turned(inputs: NDArray[np.float32], layout: Layout, poses: Pose) -> NDArray[np.float32]:
    """Returns each raw item turned about its middle, then shifted; edges are repeated."""
    shown = [_turned_one(item, layout, pose) for item, pose in zip(inputs, poses, strict=True)]
    return np.stack(shown) if shown else inputs.copy()


def poses_on_grid(degrees: float, shift: float, *, angles: int, shifts: int) -> Pose:
    """Returns every combination of evenly spaced angles and shifts (k, 3), both ends included."""
    turn = np.linspace(-degrees, degrees, angles)
    along = np.linspace(-shift, shift, shifts)
    mesh = np.meshgrid(turn, along, along, indexing="ij")
    return np.stack([axis.ravel() for axis in mesh], axis=1)


def _turned_one(item: NDArray[np.float32], layout: Layout, pose: Pose) -> NDArray[np.float32]:
    picture = layout.picture(item)
    rows, columns = grid(picture)
    height, width = layout.sides
    angle = np.deg2rad(pose[0])
    down = rows - (height - 1) / 2 - pose[1] * height
    right = columns - (width - 1) / 2 - pose[2] * width
    back_rows = np.cos(angle) * down + np.sin(angle) * right + (height - 1) / 2
    back_columns = -np.sin(angle) * down + np.cos(angle) * right + (width - 1) / 2
    return layout.item(sampled(picture, back_rows, back_columns))
