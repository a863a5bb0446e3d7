"""Every kind on every sort of picture: in range, repeatable, worse with severity, mild at first."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.attacks.corruptions.blur import disk
from tasks.attacks.corruptions.digital import areas, jpeg
from tasks.attacks.corruptions.kinds import KINDS, SEVERITIES, corrupted
from tasks.attacks.corruptions.picture import Layout, plasma
from tasks.targets.protocol import product
from tests.tasks.targets.models import digits

SHAPES = {
    "small grey": (1, 8, 8),
    "no channel axis": (28, 28),
    "colour": (3, 32, 24),
    "channels last": (32, 32, 3),
    "four bands, odd sides": (4, 17, 21),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def pictures(shape: tuple[int, ...], count: int = 4) -> NDArray[np.float32]:
    """Random landscapes in 0..255."""
    rng = np.random.default_rng(1)
    layout = Layout(shape, (0.0, 1.0))
    planes = product(shape) // product(layout.sides)
    made = [
        layout.item(0.1 + 0.8 * np.stack([plasma(layout.sides, rng, 1.0)] * planes))
        for _ in range(count)
    ]
    return np.stack(made) * np.float32(255)


@every_kind
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_keeps_shape_range_and_meaning(kind: str, shape: tuple[int, ...]) -> None:
    layout, clean = Layout(shape, (0.0, 255.0)), pictures(shape)
    changes = []
    for severity in SEVERITIES:
        damaged = corrupted(clean, layout, kind=kind, severity=severity, seed=3)
        assert damaged.dtype == np.float32
        assert damaged.shape == clean.shape
        assert 0 <= damaged.min() <= damaged.max() <= 255
        again = corrupted(clean[1:], layout, kind=kind, severity=severity, seed=3)
        np.testing.assert_array_equal(again, damaged[1:])
        changes.append(float(np.abs(damaged - clean).mean()))
    assert 0 < changes[0] < 60
    assert changes[-1] > changes[0]


@every_kind
def test_digits_stay_readable_at_first(kind: str) -> None:
    clean = digits().test.inputs[:50]
    layout = Layout((1, 8, 8), (0.0, 1.0))
    damaged = corrupted(clean, layout, kind=kind, severity=1, seed=0)
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(clean, damaged, strict=True)]
    assert np.median(alike) > 0.7


def test_seeds_matter() -> None:
    clean, layout = pictures((1, 16, 16)), Layout((1, 16, 16), (0.0, 255.0))
    one, other = (
        corrupted(clean, layout, kind="gaussian_noise", severity=3, seed=seed) for seed in (1, 2)
    )
    assert not np.array_equal(one, other)


def test_no_items_are_no_work() -> None:
    empty = np.zeros((0, 1, 8, 8), np.float32)
    made = corrupted(empty, Layout((1, 8, 8), (0, 1)), kind="fog", severity=1, seed=0)
    assert made.shape == empty.shape


@pytest.mark.parametrize("shape", [(30,), (2, 2, 2, 2), (1, 3, 28), (3, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no pictures"):
        Layout(shape, (0, 1))


@pytest.mark.parametrize("radius", [0.05, 0.4, 1.0, 3.7])
def test_a_disk_sums_to_one_and_is_symmetric(radius: float) -> None:
    kernel = disk(radius)
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel.T)
    np.testing.assert_allclose(kernel, kernel[::-1])
    assert kernel.max() < 1


def test_a_jpeg_of_a_flat_picture_is_flat() -> None:
    flat = np.full((1, 9, 9), 0.5)
    assert np.abs(jpeg(flat, 40) - 0.5).max() < 0.05
    assert np.ptp(jpeg(flat, 40)) < 1e-9


def test_jpeg_comes_near_a_real_encoder() -> None:
    """Oracle: Pillow's own JPEG at the same quality."""
    image = pytest.importorskip("PIL.Image")
    import io  # noqa: PLC0415

    plane = pictures((32, 32), 1)[0]
    for quality in (40, 80):
        buffer = io.BytesIO()
        image.fromarray(plane.astype(np.uint8)).save(buffer, "JPEG", quality=quality)
        theirs = np.asarray(image.open(buffer), dtype=float)
        ours = jpeg(plane[None].astype(np.uint8) / 255, quality)[0] * 255
        assert np.abs(ours - theirs).mean() < min(0.6, 0.2 * np.abs(theirs - plane).mean())


def test_averaging_keeps_the_sum() -> None:
    weights = areas(8, 5)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights.sum(axis=0), 5 / 8)
