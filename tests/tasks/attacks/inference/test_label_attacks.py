import numpy as np
import pytest
import torch

from tasks.attacks.inference.art_black_box import art_black_box
from tasks.attacks.inference.boundary_distance import HALVINGS, boundary_distance
from tasks.attacks.inference.label_noise import label_noise
from tasks.sandbox.protocol import Reply
from tasks.statistics.roc import auc
from tasks.targets.protocol import Access, Images, Meter, Scores


class Ramp:
    """Class 1 above a half on the first value: the distance to the boundary is known."""

    classes = 2

    def __init__(self) -> None:
        self.access = Access.SCORES
        self.input_shape: tuple[int, ...] = (3,)
        self.bounds = (0.0, 1.0)
        self.module: torch.nn.Module | None = None
        self.meter = Meter()

    def scores(self, inputs: Images) -> Scores:
        self.meter.forwards += len(inputs)
        first = inputs.reshape(len(inputs), -1)[:, 0]
        return np.stack([0.5 - first, first - 0.5], axis=1).astype(np.float32)

    def describe(self) -> dict[str, object]:
        return {}


PLACES = np.array([0.51, 0.6, 0.8, 1.0, 0.2], dtype=np.float32)
ITEMS = np.stack([PLACES, np.full(5, 0.5, np.float32), np.full(5, 0.5, np.float32)], axis=1)
LABELS = np.ones(5, np.int64)


def noise(seed: int = 0) -> Reply:
    return label_noise(Ramp(), inputs=ITEMS, labels=LABELS, queries=200, seed=seed)


def distance(seed: int = 0) -> Reply:
    return boundary_distance(Ramp(), inputs=ITEMS, labels=LABELS, directions=20, seed=seed)


@pytest.mark.parametrize("attack", [noise, distance])
def test_items_far_from_the_boundary_keep_their_label(attack: object) -> None:
    assert callable(attack)
    signal = attack().arrays["signal"]
    assert (np.diff(signal[:4]) > 0).all()
    assert signal[4] == signal.min()
    np.testing.assert_array_equal(signal, attack().arrays["signal"])


def test_costs_are_counted() -> None:
    assert noise().values == {"passes": 1000, "queries": 1000}
    asked = distance().values
    assert asked["passes"] == asked["queries"] == 5 + 4 * 20 * (1 + HALVINGS)


def test_binary_tables_are_flipped_and_pictures_shifted() -> None:
    class Watched(Ramp):
        def scores(self, inputs: Images) -> Scores:
            assert np.isin(inputs, (0, 1)).all()
            return super().scores(inputs)

    binary = np.ones((4, 3), np.float32)
    kept = label_noise(Watched(), inputs=binary, labels=np.ones(4, np.int64), queries=400, seed=0)
    assert 0.9 < kept.arrays["signal"][0] < 1
    pictures = np.random.default_rng(0).random((4, 1, 5, 5)).astype(np.float32)
    reply = label_noise(Ramp(), inputs=pictures, labels=np.ones(4, np.int64), queries=8, seed=0)
    assert reply.arrays["signal"].shape == (4,)


def test_nobody_is_asked_where_no_label_is_right() -> None:
    wrong = np.zeros(5, np.int64)
    wrong[4] = 1
    reply = boundary_distance(Ramp(), inputs=ITEMS, labels=wrong, directions=3, seed=0)
    assert (reply.arrays["signal"] == 0).all()
    assert reply.values["queries"] == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_peers_attack_learns_from_one_half() -> None:
    rng = np.random.default_rng(0)
    members = np.arange(400) % 2 == 0
    labels = rng.integers(0, 3, 400)
    scores = rng.normal(0, 1, (400, 3))
    scores[members, labels[members]] += 4
    reply = art_black_box(
        scores=scores, labels=labels, members=members, learning=np.arange(400) < 200, seed=0
    )
    signal = reply.arrays["signal"][200:]
    assert auc(signal[members[200:]], signal[~members[200:]]).low > 0.9
