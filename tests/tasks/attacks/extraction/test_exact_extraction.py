"""Exact extraction against victims whose inside is known: weights to 1e-6, every leaf of a tree."""

from typing import Any, cast

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from tasks.attacks.extraction.equation_solving import (
    equation_solving,
    from_labels,
    from_scores,
    predicted,
)
from tasks.attacks.extraction.known_victims import KnownVictim
from tasks.attacks.extraction.path_finding import box_of, path_finding
from tasks.domain.bundle import ModelSpec
from tasks.sandbox.protocol import Array
from tasks.targets.protocol import Target
from tasks.targets.sklearn_target import sklearn_target
from tasks.targets.torch_target import TorchTarget
from tests.tasks.targets.models import description, digits, trained

ROWS = digits().train.inputs.reshape(1000, -1)
LABELS = digits().train.labels
POOL = digits().test.inputs[:300]
UNSEEN = digits().test.inputs[300:].reshape(-1, 64).astype(np.float64)


def opened(estimator: Any) -> Target:
    spec = ModelSpec.model_validate(description(kind="probabilities"))
    return cast("Target", sklearn_target(estimator, spec))


@pytest.fixture(scope="module")
def logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=300).fit(ROWS, LABELS)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_one_query_more_than_features_gives_the_weights(classes: int) -> None:
    kept = classes > LABELS
    fitted = LogisticRegression(max_iter=300).fit(ROWS[kept], LABELS[kept])
    asked: list[int] = []

    def ask(rows: Array) -> Array:
        asked.append(len(rows))
        answers: Array = fitted.predict_log_proba(rows)
        return answers

    solved = from_scores(ask, 64, (0.0, 1.0))
    true = np.concatenate([fitted.coef_, fitted.intercept_[:, None]], axis=1)
    if classes == 2:
        true = np.concatenate([np.zeros_like(true), true])
    np.testing.assert_allclose(solved, true - true[0], atol=1e-6)
    assert asked == [65]


def test_a_target_is_solved_as_far_as_float32_tells(logistic: LogisticRegression) -> None:
    target = opened(logistic)
    reply = equation_solving(target, pool=POOL, budget=65)
    assert reply.values["queries"] == 65
    true = logistic.coef_ - logistic.coef_[0]
    np.testing.assert_allclose(reply.arrays["weights"], true, atol=1e-5)
    assert not len(equation_solving(target, pool=POOL, budget=64).arrays["weights"])


@pytest.mark.parametrize("classes", [2, 3])
def test_labels_alone_give_the_weights_up_to_scale(classes: int) -> None:
    rng = np.random.default_rng(classes)
    true = rng.normal(size=(classes, 9))
    true[:, -1] = -true[:, :-1].sum(axis=1) / 2  # every class is somewhere in the range

    def ask(rows: Array) -> Array:
        return predicted(true, rows.astype(np.float32).astype(np.float64))

    pool = rng.random((100, 8))
    solved, equations = from_labels(ask, pool, classes=classes, bounds=(0, 1), budget=5000, seed=0)
    assert equations > (classes - 1) * 9
    wanted = true - true[0]
    scale = (solved * wanted).sum() / (solved**2).sum()
    assert scale > 0
    np.testing.assert_allclose(solved * scale, wanted, atol=1e-4)


def test_labels_alone_copy_a_ten_class_model(logistic: LogisticRegression) -> None:
    target = opened(logistic)
    reply = equation_solving(target, pool=POOL, budget=20_000, labels_only=True)
    solved = np.concatenate([reply.arrays["weights"], reply.arrays["offset"][:, None]], axis=1)
    assert (predicted(solved, UNSEEN) == logistic.predict(UNSEEN)).mean() > 0.99
    assert reply.values["queries"] <= 20_000


LITTLE = {
    "no budget": {"budget": 10},
    "one class": {"budget": 5000, "constant": True},
    "too many weights": {"budget": 10**6, "wide": True},
}


@pytest.mark.parametrize("case", LITTLE.values(), ids=LITTLE.keys())
def test_labels_that_do_not_suffice_give_nothing(case: dict[str, int]) -> None:
    pool = np.random.default_rng(0).random((20, 2000 if case.get("wide") else 3))

    def ask(rows: Array) -> Array:
        labels: Array = rows[:, 0] > (2 if case.get("constant") else 0.5)
        return labels.astype(np.int64)

    solved, equations = from_labels(
        ask, pool, classes=2, bounds=(0, 1), budget=case["budget"], seed=0
    )
    assert len(solved) == equations == 0


@pytest.mark.parametrize(("depth", "least"), [(3, 0.999), (6, 0.999), (None, 0.85)])
def test_finds_the_leaves_of_a_tree(depth: int | None, least: float) -> None:
    tree = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=5, random_state=0)
    tree.fit(ROWS, LABELS)
    target = opened(tree)
    reply = path_finding(target, pool=POOL, budget=40_000)
    assert reply.values["covered"]
    places = box_of(UNSEEN, reply.arrays["low"], reply.arrays["high"])
    same = reply.arrays["answers"][places] == target.scores(
        UNSEEN.reshape(-1, 1, 8, 8).astype(np.float32)
    )
    assert (same.all(axis=1) & (places >= 0)).mean() >= least
    if depth == 3:
        assert set(_thresholds(reply.arrays["low"])) == set(
            tree.tree_.threshold[tree.tree_.feature >= 0].round(5)
        )


def _thresholds(faces: Array) -> list[float]:
    return [float(face) for face in faces[np.isfinite(faces)].round(5)]


def test_a_network_has_no_leaves_and_costs_few_queries() -> None:
    target = TorchTarget(trained(), ModelSpec.model_validate(description()), kind="test")
    reply = path_finding(target, pool=POOL, budget=40_000)
    assert len(reply.arrays["low"]) == 0
    assert reply.values["queries"] < 200


def test_a_small_budget_says_that_it_did_not_see_everything() -> None:
    tree = DecisionTreeClassifier(max_depth=6, random_state=0).fit(ROWS, LABELS)
    target = opened(tree)
    reply = path_finding(target, pool=POOL, budget=1000)
    assert not reply.values["covered"]
    assert reply.values["queries"] < 6000


@pytest.mark.parametrize("name", ["linear", "tree", "curved"])
def test_known_victims_are_what_they_are_called(name: str) -> None:
    target = TorchTarget(trained(), ModelSpec.model_validate(description()), kind="test")
    victim = KnownVictim(name, target, seed=1)
    answers = victim.scores(POOL)
    assert answers.shape == (300, 10)
    assert victim.meter.forwards == 300
    assert (len(np.unique(answers, axis=0)) <= 8) == (name == "tree")
