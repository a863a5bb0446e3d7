"""Turning pictures: two implementations agree, and the climb finds worse poses than the grid."""

import numpy as np
import pytest
import torch

from tasks.attacks.corruptions.picture import Layout
from tasks.attacks.evasion.spatial import _Climb, spatial
from tasks.attacks.evasion.turning import poses_on_grid, turned
from tasks.targets.protocol import predicted
from tests.tasks.attacks.evasion.victims import correct, victim

LAYOUT = Layout((1, 8, 8), (0.0, 1.0))


def test_no_pose_changes_nothing_and_a_quarter_turn_is_exact() -> None:
    inputs, _ = correct(victim(), 5)
    still = np.zeros((5, 3))
    np.testing.assert_allclose(turned(inputs, LAYOUT, still), inputs, atol=1e-6)
    quarter = np.tile([90.0, 0, 0], (5, 1))
    expected = np.rot90(inputs, axes=(2, 3))
    np.testing.assert_allclose(turned(inputs, LAYOUT, quarter), expected, atol=1e-5)


def test_a_shift_moves_whole_pixels() -> None:
    inputs, _ = correct(victim(), 3)
    moved = turned(inputs, LAYOUT, np.tile([0, 1 / 8, 2 / 8], (3, 1)))
    np.testing.assert_allclose(moved[:, :, 1:, 2:], inputs[:, :, :-1, :-2], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 12), (12, 9, 3)])
def test_both_implementations_agree(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    layout = Layout(shape, (0.0, 255.0))
    inputs = rng.uniform(0, 255, (6, *shape)).astype(np.float32)
    poses = rng.uniform([-30, -0.2, -0.2], [30, 0.2, 0.2], (6, 3))
    most = torch.ones(3, dtype=torch.float64)
    climb = _Climb(victim(), layout, inputs, np.zeros(6, np.int64), most)
    theirs = climb._turned(torch.from_numpy(poses)).numpy()
    np.testing.assert_allclose(theirs, turned(inputs, layout, poses), atol=0.05)


def test_climbs_from_a_grid_to_worse_poses() -> None:
    target = victim()
    inputs, labels = correct(target, 60)
    start = np.tile([8.0, 0.02, -0.02], (60, 1))
    reply = spatial(target, inputs=inputs, labels=labels, poses=start, degrees=25, shift=0.1)
    poses = reply.arrays["poses"]
    assert np.abs(poses[:, 0]).max() <= 25 + 1e-6
    assert np.abs(poses[:, 1:]).max() <= 0.1 + 1e-9
    before = predicted(target, turned(inputs, LAYOUT, start)) != labels
    after = predicted(target, turned(inputs, LAYOUT, poses)) != labels
    assert (after | ~before).all()
    assert after.mean() > before.mean() + 0.2
    assert reply.values["passes"] > 0


def test_the_grid_holds_both_ends() -> None:
    poses = poses_on_grid(30, 0.1, angles=5, shifts=3)
    assert poses.shape == (45, 3)
    np.testing.assert_array_equal(poses.min(axis=0), [-30, -0.1, -0.1])
    np.testing.assert_array_equal(poses.max(axis=0), [30, 0.1, 0.1])
