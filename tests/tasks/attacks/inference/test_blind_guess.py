import numpy as np
import pytest

from tasks.attacks.inference.blind_guess import blind_guess
from tasks.sandbox.protocol import Array
from tasks.statistics.roc import auc

N = 600
MEMBERS = np.arange(N) % 2 == 0


def drawn(width: int = 12) -> Array:
    return np.random.default_rng(0).normal(size=(N, 1, width)).astype(np.float32)


def shifted(items: Array) -> Array:
    items[MEMBERS] += 0.5
    return items


def scaled(items: Array) -> Array:
    items[MEMBERS] *= 1.6
    return items


def test_equal_sets_cannot_be_told_apart() -> None:
    guess = blind_guess(drawn(), np.zeros(N, np.int64), MEMBERS, seed=0)
    found = auc(guess[MEMBERS], guess[~MEMBERS], 0.999)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("change", [shifted, scaled])
@pytest.mark.parametrize("width", [12, 400])
def test_a_shift_of_place_or_spread_is_seen(change: object, width: int) -> None:
    assert callable(change)
    guess = blind_guess(change(drawn(width)), np.zeros(N, np.int64), MEMBERS, seed=0)
    assert auc(guess[MEMBERS], guess[~MEMBERS]).low > 0.7


def test_other_shares_of_classes_are_seen() -> None:
    labels = np.where(MEMBERS, np.arange(N) % 3, np.arange(N) % 5)
    guess = blind_guess(drawn(), labels, MEMBERS, seed=0)
    assert auc(guess[MEMBERS], guess[~MEMBERS]).low > 0.6


def test_constant_items_are_an_answer_too() -> None:
    guess = blind_guess(np.ones((N, 3), np.float32), np.zeros(N, np.int64), MEMBERS, seed=0)
    assert np.isfinite(guess).all()
