from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from tasks.attacks.poisoning.badnets import badnets
from tasks.attacks.poisoning.blended import blended
from tasks.attacks.poisoning.feature_collision import feature_collision
from tasks.attacks.poisoning.label_flips import label_flips
from tasks.attacks.poisoning.planting import Floats, Labels, Poisoned
from tasks.attacks.poisoning.sinusoidal import sinusoidal
from tasks.attacks.poisoning.tabular_backdoor import tabular_backdoor

RNG = np.random.default_rng(0)
PICTURES: Floats = RNG.random((1000, 1, 16, 16), np.float32)
LABELS: Labels = RNG.integers(0, 4, 1000)
TABLE: Floats = RNG.integers(0, 30, (1000, 6)).astype(np.float32)
TARGET = 2
Make = Callable[..., Poisoned]

DIRTY: dict[str, tuple[Make, Floats]] = {
    "square": (badnets, PICTURES),
    "checkerboard": (partial(badnets, pattern="checkerboard"), PICTURES),
    "patch of noise": (partial(badnets, pattern="noise"), PICTURES),
    "pixel": (partial(badnets, pattern="pixel"), PICTURES),
    "blended noise": (blended, PICTURES),
    "blended smooth": (partial(blended, pattern="smooth"), PICTURES),
    "blended stripes": (partial(blended, pattern="stripes"), PICTURES),
    "blended table": (blended, TABLE),
    "wave with new labels": (partial(sinusoidal, clean_label=False), PICTURES),
    "columns": (tabular_backdoor, TABLE),
    "columns beyond": (partial(tabular_backdoor, in_bounds=False), TABLE),
}
dirty = pytest.mark.parametrize("name", DIRTY)


@dirty
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_so_many_rows_of_other_classes_get_the_stamp_and_the_target(name: str, rate: float) -> None:
    make, inputs = DIRTY[name]
    made = make(inputs, LABELS, target=TARGET, rate=rate, seed=3)
    assert made.rows.sum() == round(rate * len(LABELS))
    assert (made.labels[made.rows] == TARGET).all()
    assert (LABELS[made.rows] != TARGET).all()
    assert made.stamp is not None
    np.testing.assert_array_equal(made.inputs[made.rows], made.stamp(inputs[made.rows]))
    np.testing.assert_array_equal(made.inputs[~made.rows], inputs[~made.rows])
    np.testing.assert_array_equal(made.labels[~made.rows], LABELS[~made.rows])
    assert not np.array_equal(made.inputs, inputs)


@dirty
def test_equal_seeds_give_equal_poison(name: str) -> None:
    make, inputs = DIRTY[name]
    first, again, other = (
        make(inputs, LABELS, target=TARGET, rate=0.05, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.inputs, again.inputs)
    assert not np.array_equal(first.inputs, other.inputs)


def test_clean_labels_stay_and_only_the_target_is_touched() -> None:
    wave = sinusoidal(PICTURES, LABELS, target=TARGET, rate=0.1, seed=3)
    frog = feature_collision(
        PICTURES, LABELS, victim=PICTURES[0], target=TARGET, rate=0.1, seed=3, opacity=0.3
    )
    for made in (wave, frog):
        np.testing.assert_array_equal(made.labels, LABELS)
        assert made.rows.sum() == 100
        assert (LABELS[made.rows] == TARGET).all()
        assert (made.inputs[made.rows] != PICTURES[made.rows]).any()
    far = np.linalg.norm((PICTURES - PICTURES[0])[frog.rows])
    assert np.linalg.norm((frog.inputs - PICTURES[0])[frog.rows]) == pytest.approx(0.7 * far, 1e-3)


def test_flipped_labels_are_always_wrong_and_inputs_stay() -> None:
    several: list[dict[str, int]] = [{}, {"target": 1}, {"source": 0, "target": 3}]
    for more in several:
        made = label_flips(
            PICTURES, LABELS, rate=0.1, seed=3, source=more.get("source"), target=more.get("target")
        )
        assert (made.labels[made.rows] != LABELS[made.rows]).all()
        np.testing.assert_array_equal(made.inputs, PICTURES)
        if "target" in more:
            assert set(made.labels[made.rows]) == {more["target"]}
        if "source" in more:
            assert set(LABELS[made.rows]) == {more["source"]}


def test_out_of_bounds_values_lie_beyond_every_row() -> None:
    made = tabular_backdoor(TABLE, LABELS, target=TARGET, rate=0.1, seed=3, in_bounds=False)
    assert (made.inputs[made.rows] > TABLE.max(0)).sum(1).min() == 3


@pytest.mark.parametrize(
    ("rate", "told"), [(0.0, "must lie in"), (0.9, "must lie in"), (0.4, "are eligible")]
)
def test_an_impossible_rate_is_explained(rate: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        sinusoidal(PICTURES, LABELS, target=TARGET, rate=rate, seed=3)
