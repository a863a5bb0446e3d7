"""Students: many at a time learn what each would alone; arms are what a model would answer."""

import numpy as np
import pytest
import torch

from tasks.attacks.extraction.arms import ARMS, answered, named
from tasks.attacks.extraction.students import Cohort, Lesson, believed, certain, studied

SHAPES = {"row": (6,), "small image": (1, 8, 8), "large image": (2, 17, 16), "plane": (3, 5)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_together_they_learn_what_each_learns_alone(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.random((60, *shape)).astype(np.float32)
    beliefs = certain((inputs.reshape(60, -1)[:, 0] > 0.5).astype(np.int64), 3)
    lessons = [
        Lesson(np.arange(50), beliefs[:50], 20),
        Lesson(np.arange(10, 60), beliefs[10:], 20),
        Lesson(np.arange(8), beliefs[:8], 30),
    ]
    together = studied(inputs, lessons, inputs, bounds=(0, 1), seed=3)
    alone = [studied(inputs, [one], inputs, bounds=(0, 1), seed=3)[0] for one in lessons]
    assert together.shape == (3, 60)
    # Rounding may turn a near-tie; nothing else may.
    assert (together == np.stack(alone)).mean() > 0.98


def test_stacked_weights_answer_as_one_network_each() -> None:
    cohort = Cohort((1, 8, 8), 4, count=3, seed=0)
    with torch.no_grad():
        for place, weight in enumerate(cohort.weights):
            weight.add_(torch.arange(3.0).reshape(3, *[1] * (weight.ndim - 1)) * 0.01 * place)
        inputs = torch.rand(3, 5, 1, 8, 8)
        answers = cohort.logits(inputs)
        for student in range(3):
            single = Cohort((1, 8, 8), 4, count=1, seed=0)
            single.weights = [weight[student : student + 1] for weight in cohort.weights]
            torch.testing.assert_close(
                single.logits(inputs[student : student + 1])[0], answers[student]
            )


def test_a_lesson_is_as_long_as_its_rows_deserve() -> None:
    few, many = (Lesson(np.arange(n), np.zeros((n, 2), np.float32)) for n in (10, 10_000))
    assert few.length < many.length
    assert few.passes == 2 * few.length * 10


def test_beliefs_survive_large_scores() -> None:
    scores = np.array([[1000.0, 0, -1000], [1, 1.5, 1]], np.float32)
    np.testing.assert_allclose(believed(scores).sum(axis=1), 1)


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_every_arm_answers_probabilities(arm: str, classes: int) -> None:
    beliefs = believed(np.random.default_rng(0).normal(size=(50, classes)).astype(np.float32))
    told = answered(arm, beliefs, seed=1)
    assert told.shape == beliefs.shape
    assert told.min() >= 0
    np.testing.assert_allclose(told.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(told, answered(arm, beliefs, seed=1))
    if arm in {"labels", "top", "scores"}:
        np.testing.assert_array_equal(named(told), named(beliefs))
