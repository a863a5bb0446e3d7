"""Patches: nothing outside the rectangle moves, places are searched, one patch serves many."""

import numpy as np
import pytest

from tasks.attacks.corruptions.picture import Layout
from tasks.attacks.evasion.patch import _grid, laid, patch, universal_patch
from tasks.domain.errors import TargetError
from tasks.targets.protocol import predicted
from tests.tasks.attacks.evasion.victims import correct, victim

SIDE = 3


def test_changes_one_rectangle_and_tells_the_truth() -> None:
    target = victim()
    inputs, labels = correct(target, 40)
    reply = patch(target, inputs=inputs, labels=labels, side=SIDE, steps=30)
    moved, found = reply.arrays["candidates"], reply.arrays["found"]
    assert 0 <= moved.min() <= moved.max() <= 1
    np.testing.assert_array_equal(predicted(target, moved) != labels, found)
    assert found.mean() > 0.5
    for change in (moved - inputs)[:, 0]:
        rows, columns = np.nonzero(change)
        if len(rows):
            assert np.ptp(rows) < SIDE
            assert np.ptp(columns) < SIDE


def test_a_point_does_not_depend_on_its_batch() -> None:
    target = victim()
    inputs, labels = correct(target, 10)
    whole = patch(target, inputs=inputs, labels=labels, side=SIDE, steps=10)
    half = patch(target, inputs=inputs[5:], labels=labels[5:], side=SIDE, steps=10)
    np.testing.assert_array_equal(whole.arrays["found"][5:], half.arrays["found"])
    np.testing.assert_allclose(whole.arrays["candidates"][5:], half.arrays["candidates"], atol=1e-4)


def test_one_patch_serves_pictures_it_never_saw() -> None:
    target = victim()
    inputs, labels = correct(target, 200)
    layout = Layout((1, 8, 8), (0.0, 1.0))
    reply = universal_patch(target, inputs=inputs[:100], labels=labels[:100], side=4, steps=60)
    rng = np.random.default_rng(0)
    places = rng.integers(0, 5, (100, 2))
    trained = laid(inputs[100:], layout, reply.arrays["patch"], places)
    noise = laid(inputs[100:], layout, rng.random((1, 4, 4)).astype(np.float32), places)
    success = (predicted(target, trained) != labels[100:]).mean()
    assert success > (predicted(target, noise) != labels[100:]).mean() + 0.1


@pytest.mark.parametrize(("sides", "box"), [((8, 8), (3, 3)), ((5, 9), (5, 2)), ((4, 4), (4, 4))])
def test_places_cover_the_picture(sides: tuple[int, int], box: tuple[int, int]) -> None:
    seen = np.zeros(sides, bool)
    for top, left in _grid(sides, box):
        assert top + box[0] <= sides[0]
        assert left + box[1] <= sides[1]
        seen[top : top + box[0], left : left + box[1]] = True
    assert seen.all()


def test_counts_and_refuses() -> None:
    target = victim()
    inputs, labels = correct(target, 4)
    before = target.meter.passes
    reply = patch(target, inputs=inputs, labels=labels, side=2, steps=3)
    assert reply.values["passes"] == target.meter.passes - before > 0
    empty = patch(target, inputs=inputs[:0], labels=labels[:0], side=2, steps=3)
    assert empty.values["passes"] == 0
    target.module = None
    with pytest.raises(TargetError, match="needs gradients"):
        patch(target, inputs=inputs, labels=labels, side=2)
