"""Both sides compute the same score from the same answers."""

import numpy as np
import pytest
import torch
from torch import nn

from tasks.detectors.backdoor.meta_scores import (
    Meta,
    features_of,
    meta_scores,
    scores_by_fold,
    unseen_scores,
)
from tasks.detectors.backdoor.query_tuning import features

QUERIES, CLASSES, HIDDEN = 3, 4, 5


def logits(models: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(models, QUERIES, CLASSES))


def metas(folds: int) -> Meta:
    rng = np.random.default_rng(1)
    width = QUERIES * CLASSES
    return Meta(
        rng.normal(size=(folds, width)),
        rng.uniform(0.5, 2, (folds, width)),
        rng.normal(size=(folds, width, HIDDEN)),
        rng.normal(size=(folds, HIDDEN)),
        rng.normal(size=(folds, HIDDEN)),
        rng.normal(size=folds),
    )


def test_how_sure_a_model_is_leaves_no_mark() -> None:
    plain = logits(2)
    surer = plain * np.array([1.0, 7.0, 0.1])[:, None] + 3.0
    np.testing.assert_allclose(features_of(surer), features_of(plain))


def test_an_answer_that_says_nothing_is_no_division_by_zero() -> None:
    assert not features_of(np.ones((1, QUERIES, CLASSES))).any()


def test_torch_and_numpy_see_the_same_features() -> None:
    told = logits(4)
    told[0, 0] = 2.5
    np.testing.assert_allclose(features(torch.from_numpy(told)).numpy(), features_of(told))


def test_a_query_answered_evenly_does_not_spoil_the_gradient() -> None:
    even = torch.ones(1, QUERIES, CLASSES, requires_grad=True)
    features(even).sum().backward()
    assert even.grad is not None
    assert even.grad.isfinite().all()


def test_the_score_is_that_of_the_perceptron() -> None:
    meta = Meta(*(part[0] for part in metas(1)))
    inner, outer = nn.Linear(QUERIES * CLASSES, HIDDEN), nn.Linear(HIDDEN, 1)
    inner.weight.data = torch.from_numpy(meta.inward.T.copy())
    inner.bias.data = torch.from_numpy(meta.offset)
    outer.weight.data = torch.from_numpy(meta.outward[None])
    outer.bias.data = torch.from_numpy(np.array([meta.bias]))
    read = (torch.from_numpy(features_of(logits(3)) - meta.middle)) / torch.from_numpy(meta.spread)
    expected = nn.Sequential(inner, nn.ReLU(), outer)(read).squeeze(1).detach().numpy()
    np.testing.assert_allclose(meta_scores(meta, logits(3)), expected)


def test_each_fold_reads_the_answers_to_its_own_queries() -> None:
    told = np.stack([logits(3, seed) for seed in range(2)])
    scores = scores_by_fold(metas(2), told)
    assert scores.shape == (2, 3)
    for fold in range(2):
        meta = Meta(*(part[fold] for part in metas(2)))
        np.testing.assert_allclose(scores[fold], meta_scores(meta, told[fold]))


def test_a_shadow_is_scored_by_the_fold_that_never_saw_it() -> None:
    folds, told = np.array([1, 0, 1]), logits(3)
    scores = unseen_scores(metas(2), folds, told)
    for shadow, fold in enumerate(folds):
        meta = Meta(*(part[fold] for part in metas(2)))
        assert scores[shadow] == pytest.approx(meta_scores(meta, told[[shadow]])[0])
