"""Each monitor against the habit that it watches for, and against an honest client."""

from collections.abc import Callable

import numpy as np
import pytest

from tasks.detectors.telemetry.scoring import MONITORS, NAMES, Follower, block_scores
from tasks.detectors.telemetry.trail import BLOCK, PAST, Trail, looked
from tests.tasks.detectors.telemetry.clients import DIMENSIONS, natural, trail

COUNT = 200


def variants() -> Trail:
    """One input, moved a little each time."""
    return trail(natural(1) + natural(COUNT) * 0.02)


def bisection() -> Trail:
    """To and fro between two inputs, ever closer to where the class changes."""
    far, near = natural(2)
    shares = np.random.default_rng(1).uniform(0, 1, (COUNT, 1))
    return trail((far + shares * (near - far)).astype(np.float32))


def flips() -> Trail:
    moved = natural(1) + natural(COUNT) * 0.02
    return trail(moved, labels=np.arange(COUNT) % 2)


def comeback() -> Trail:
    """Moves old questions a little, and half of them change class."""
    rows = natural(COUNT // 2)
    again = rows + natural(COUNT // 2, 9) * 0.02
    return trail(np.concatenate([rows, again]), labels=np.repeat([0, 1], COUNT // 2))


def noise() -> Trail:
    return trail(natural(COUNT) * 3)


def hesitant() -> Trail:
    return trail(natural(COUNT), margin=0.05)


def lattice() -> Trail:
    """Steps of one length from earlier inputs, as augmentation makes them."""
    rng = np.random.default_rng(2)
    rows = list(natural(20))
    while len(rows) < COUNT:
        step = rng.choice([-1.0, 1.0], DIMENSIONS) * (0.4 if len(rows) % 2 else 0.1)
        rows.append((rows[int(rng.integers(len(rows)))] + step * 0.2).astype(np.float32))
    return trail(np.array(rows))


def probes() -> Trail:
    return trail(np.repeat(natural(COUNT // 10), 10, axis=0))


def rush() -> Trail:
    return trail(natural(COUNT), gap_seconds=0.001)


HABITS: dict[str, Callable[[], Trail]] = {
    "nearest_distance": variants,
    "distance_normality": lattice,
    "update_direction": bisection,
    "coverage_growth": noise,
    "boundary_hugging": flips,
    "distant_flips": comeback,
    "near_threshold": hesitant,
    "evasion_cluster": variants,
    "repeated_rows": probes,
    "flood": rush,
}


def test_every_monitor_has_its_habit() -> None:
    assert set(HABITS) == set(MONITORS)


@pytest.mark.parametrize("name", MONITORS)
def test_a_monitor_tells_its_habit_from_an_honest_client(name: str) -> None:
    place = NAMES.index(f"{name}@{4 * BLOCK}")
    habit = block_scores(HABITS[name](), 1.0)[-1, place]
    honest = [block_scores(trail(natural(COUNT, seed)), 1.0)[-1, place] for seed in range(20)]
    assert habit > 1.5 * max(*honest, 0.01)


def test_exact_repeats_are_no_variants() -> None:
    retries = trail(np.repeat(natural(100), 2, axis=0))
    scores = block_scores(retries, 1.0)[-1]
    for name in ("boundary_hugging", "evasion_cluster", "repeated_rows"):
        assert scores[NAMES.index(f"{name}@25")] == 0


def test_frames_of_a_scene_do_not_come_back() -> None:
    rows = np.repeat(natural(COUNT // 4), 4, axis=0) + natural(COUNT, 9) * 0.02
    shown = trail(rows, labels=np.arange(COUNT) % 2)
    scores = block_scores(shown, 1.0)[-1]
    assert scores[NAMES.index("distant_flips@25")] == 0
    assert scores[NAMES.index("boundary_hugging@25")] > 0.2


def test_a_health_check_between_questions_is_no_line() -> None:
    rows = natural(COUNT)
    rows[::2] = rows[0]
    assert block_scores(trail(rows), 1.0)[:, NAMES.index("update_direction@25")].max() == 0


def test_nothing_later_is_looked_at() -> None:
    whole = variants()
    early = block_scores(whole.part(0, 75), 1.0)
    np.testing.assert_array_equal(early, block_scores(whole, 1.0)[:3])


def test_an_unfinished_block_waits() -> None:
    assert block_scores(trail(natural(24)), 1.0).shape == (0, len(NAMES))
    assert block_scores(trail(natural(49)), 1.0).shape == (1, len(NAMES))


def test_scores_do_not_depend_on_how_far_back_one_goes() -> None:
    follower = Follower(DIMENSIONS, 1.0)
    for start in range(0, 1000, BLOCK):
        follower.block(trail(natural(BLOCK, start)))
    assert follower._past.length == PAST
    assert follower.count == 1000


def test_distances_are_those_of_the_inputs() -> None:
    rows = natural(60)
    whole = trail(rows)
    look = looked(whole.part(0, 35), whole.part(35), np.zeros(0), 2.0)
    for place in range(25):
        earlier = np.linalg.norm(rows[: 35 + place] - rows[35 + place], axis=1)
        assert look.gaps[place] == pytest.approx(earlier.min() / 2, rel=1e-4)
