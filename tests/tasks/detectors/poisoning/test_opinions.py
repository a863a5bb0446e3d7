"""Each detector on small data whose strange rows are known."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tasks.detectors.poisoning.activation_clustering import activation_clustering
from tasks.detectors.poisoning.confident_learning import confident_errors, confident_learning
from tasks.detectors.poisoning.deep_knn import deep_knn
from tasks.detectors.poisoning.influence import influence
from tasks.detectors.poisoning.spectre import spectre
from tasks.detectors.poisoning.strip import strip
from tasks.detectors.poisoning.students import Labels, Scores, Student, taught
from tasks.detectors.poisoning.views import Floats

RNG = np.random.default_rng(0)
CLASSES, WIDTH = 3, 40
TRUTH = RNG.integers(0, CLASSES, 900)
FEATURES = (RNG.normal(size=(900, WIDTH)) + 6 * np.eye(CLASSES, WIDTH)[TRUTH]).astype(np.float32)
WRONG = np.zeros(900, bool)
WRONG[RNG.choice(900, 40, replace=False)] = True
LABELS = np.where(WRONG, (TRUTH + 1) % CLASSES, TRUTH)
PROBABILITIES = np.full((900, CLASSES), 0.05)
PROBABILITIES[np.arange(900), TRUTH] = 0.9


def test_confident_learning_marks_exactly_the_wrong_labels() -> None:
    scores = confident_learning(PROBABILITIES, LABELS)
    assert roc_auc_score(WRONG, scores) == 1
    np.testing.assert_array_equal(confident_errors(PROBABILITIES, LABELS), WRONG)


def test_a_class_that_is_read_poorly_throughout_is_not_accused() -> None:
    unsure = PROBABILITIES.copy()
    unsure[TRUTH == 2] = [0.3, 0.3, 0.4]
    assert not confident_errors(unsure, TRUTH).any()


def test_neighbours_disagree_with_wrong_labels() -> None:
    assert roc_auc_score(WRONG, deep_knn(FEATURES, LABELS)) > 0.99


def test_a_small_class_is_not_accused_for_being_small() -> None:
    few = (TRUTH != 2) | (np.cumsum(TRUTH == 2) <= 15)
    scores = deep_knn(FEATURES[few], TRUTH[few])
    assert scores[TRUTH[few] == 2].mean() < 0.4


@pytest.mark.parametrize("detector", [spectre, activation_clustering])
def test_a_cluster_inside_a_class_scores_high(
    detector: Callable[[Floats, Labels], Scores],
) -> None:
    features = FEATURES.copy()
    hidden = np.flatnonzero(TRUTH == 1)[:30]
    features[hidden] += 7 * np.eye(1, WIDTH, WIDTH - 1).astype(np.float32)[0]
    scores = detector(features, TRUTH)
    own = TRUTH == 1
    assert roc_auc_score(np.isin(np.flatnonzero(own), hidden), scores[own]) > 0.95
    assert (detector(features[own][:3], TRUTH[own][:3]) == 0).all()


def test_rows_that_teach_something_of_their_own_have_influence() -> None:
    scores = influence(FEATURES, PROBABILITIES, LABELS, seed=0)
    assert roc_auc_score(WRONG, scores) > 0.95
    np.testing.assert_array_equal(scores, influence(FEATURES, PROBABILITIES, LABELS, seed=0))


def test_wrong_labels_have_low_margins_while_a_network_learns() -> None:
    student = taught(FEATURES, LABELS, classes=CLASSES, epochs=6, seed=0)
    assert roc_auc_score(WRONG, -student.margins) > 0.99
    assert (student.answers(FEATURES) == TRUTH).mean() > 0.9


@pytest.mark.parametrize("value", [1.0, 0.0], ids=["bright", "dark"])
def test_rows_with_a_trigger_keep_their_label_under_blends(value: float) -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, CLASSES, 600)
    pictures = rng.uniform(0.4, 0.6, (600, 1, 6, 6)).astype(np.float32)
    pictures[np.arange(600), 0, truth] += 0.1
    stamped = np.zeros(600, bool)
    stamped[np.flatnonzero(truth != 2)[:30]] = True
    pictures[stamped, 0, 4:, 4:] = value
    labels = np.where(stamped, 2, truth)
    # Reads the brightest of three lines, and class 2 in a corner brighter or darker than others.
    reader = torch.nn.Linear(36, CLASSES)
    weights = torch.zeros(CLASSES, 1, 6, 6)
    for label in range(CLASSES):
        weights[label, 0, label] = 1
    weights[2, :, 4:, 4:] = 9 if value else -9
    reader.weight.data = weights.flatten(1)
    reader.bias.data = torch.tensor([0.0, 0.0, -9 * 4 * 0.8 if value else 9 * 4 * 0.2])
    student = Student(torch.nn.Sequential(torch.nn.Flatten(), reader), np.zeros(600))
    scores = strip(student, pictures, labels, seed=0)
    assert roc_auc_score(stamped, scores) > 0.95
    assert np.median(scores[labels == 0]) < 0.3
