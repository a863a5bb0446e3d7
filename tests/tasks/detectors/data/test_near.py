"""Near twins of rows and texts: what is found, what is left alone, and at what cost."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.detectors.data import near
from tasks.detectors.data.near import groups_of, near_pairs, scaled, turned
from tasks.detectors.data.texts import canonical, resembling, signatures


def test_near_rows_are_found_and_only_they() -> None:
    rng = np.random.default_rng(0)
    rows = turned(rng.random((3000, 8, 8)).astype(np.float32))
    noise = rng.standard_normal((200, 64)).astype(np.float32)
    copies = rows[:200] + 0.05 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    pairs = near_pairs(np.concatenate([rows, copies]), closest=0.1, seed=1)
    assert [tuple(pair) for pair in pairs] == [(at, 3000 + at) for at in range(200)]


def test_every_found_pair_is_as_near_as_was_asked() -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((500, 3)).astype(np.float32)
    pairs = near_pairs(rows, closest=0.2, seed=0)
    apart = np.linalg.norm(rows[pairs[:, 0]] - rows[pairs[:, 1]], axis=1)
    every = np.linalg.norm(rows[:, None] - rows[None], axis=2)[np.triu_indices(500, 1)]
    assert apart.max() <= 0.2
    assert len(pairs) > 0.9 * (every <= 0.2).sum()


def test_brightness_and_contrast_change_no_picture() -> None:
    pictures = np.random.default_rng(2).random((5, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(turned(pictures), turned(0.3 * pictures + 0.5), atol=1e-5)
    assert not turned(np.full((1, 6, 6), 0.7, dtype=np.float32)).any()


def test_constant_columns_do_not_matter() -> None:
    table = np.random.default_rng(3).random((50, 3)).astype(np.float32)
    table[:, 1] = 4
    assert np.isfinite(scaled(table)).all()


def test_chains_are_one_group() -> None:
    groups = groups_of(np.array([[0, 1], [1, 4]]), 5)
    assert groups[0] == groups[1] == groups[4]
    assert len(set(groups)) == 3


def test_few_rows_have_no_pairs() -> None:
    for n in (0, 1):
        assert near_pairs(np.zeros((n, 4), dtype=np.float32), closest=1, seed=0).shape == (0, 2)


def test_work_grows_with_the_rows_and_not_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[int] = []
    real = near._distances

    def counted(rows: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        measured.append(len(pairs))
        return real(rows, pairs)

    monkeypatch.setattr(near, "_distances", counted)
    rng = np.random.default_rng(4)
    for n in (2000, 8000):
        near_pairs(rng.standard_normal((n, 32)).astype(np.float32), closest=0.5, seed=0)
    assert measured[1] < 6 * max(measured[0], 2000)


def test_texts_that_share_most_words_resemble_each_other() -> None:
    rng = np.random.default_rng(5)
    words = [f"word{at}" for at in range(500)]
    texts = [" ".join(rng.choice(words, 40)) for _ in range(300)]
    copies = [f"{text} and so on" for text in texts[:50]]
    pairs = resembling(signatures([*texts, *copies]), least=0.7)
    assert [tuple(pair) for pair in pairs] == [(at, 300 + at) for at in range(50)]


def test_short_texts_and_none_are_compared_by_letters() -> None:
    pairs = resembling(
        signatures(["good morning all", "good mornings all", "", "", "!"]), least=0.5
    )
    assert [tuple(pair) for pair in pairs] == [(0, 1)]


def test_case_and_white_space_are_no_difference() -> None:
    assert canonical("  Straße\n\tNo 5 ") == canonical("strasse no 5")
