import numpy as np
import pytest

from tasks.attacks.inference.views import SHIFTS, views
from tasks.sandbox.protocol import Array

RNG = np.random.default_rng(3)
PICTURES = RNG.uniform(size=(5, 2, 6, 4)).astype(np.float32)
TABLE = RNG.normal(size=(50, 7)).astype(np.float32)
BITS = (RNG.uniform(size=(200, 90)) < 0.2).astype(np.float32)


@pytest.mark.parametrize("inputs", [PICTURES, TABLE, BITS], ids=["pictures", "table", "bits"])
def test_looks_differ_a_little_and_are_the_same_for_everybody(inputs: Array) -> None:
    looks = list(views(inputs, 12))
    np.testing.assert_array_equal(looks[0], inputs)
    assert len({look.tobytes() for look in looks}) == 12
    for look, again in zip(looks, views(inputs, 12), strict=True):
        np.testing.assert_array_equal(look, again)
        assert (look.shape, look.dtype) == (inputs.shape, inputs.dtype)
        assert inputs.min() <= look.min()
        assert look.max() <= inputs.max()


def test_pictures_are_shifted_and_keep_their_edge() -> None:
    looks = list(views(PICTURES, 1 + len(SHIFTS)))
    right = looks[1]  # SHIFTS begins with one column to the right
    np.testing.assert_array_equal(right[..., 1:], PICTURES[..., :-1])
    np.testing.assert_array_equal(right[..., 0], PICTURES[..., 0])


def test_bits_stay_bits() -> None:
    look = list(views(BITS, 2))[1]
    assert set(np.unique(look)) == {0.0, 1.0}
    assert 0 < np.mean(look != BITS) < 0.03
