"""What the child trains, for whom, and who is scored by whom."""

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tasks.detectors.backdoor import meta_classifier as child
from tasks.detectors.backdoor.inversion import Pool
from tasks.detectors.backdoor.meta_classifier import (
    FOLDS,
    folds_of,
    meta_classifier,
    passes_of,
    taught_well,
)
from tasks.detectors.backdoor.query_tuning import Tuned, tuned
from tasks.detectors.backdoor.shadow_zoo import Shadows, shadow_zoo
from tasks.sandbox.protocol import Reply

ITEM, CLASSES, SHADOWS = (1, 4, 4), 3, 24


def target(module: nn.Module | None) -> Any:
    return SimpleNamespace(module=module, input_shape=ITEM, bounds=(0.0, 1.0), classes=CLASSES)


def asked(module: nn.Module | None, seed: int = 0, shadows: int = SHADOWS) -> Reply:
    rng = np.random.default_rng(0)
    return meta_classifier(
        target(module),
        inputs=rng.random((40, *ITEM)).astype(np.float32),
        labels=np.arange(40) % CLASSES,
        shadow_models=shadows,
        steps=3,
        queries=4,
        epochs=2,
        seed=seed,
    )


@functools.cache
def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, CLASSES))


def shadows(planted: list[bool], obeyed: list[float]) -> Shadows:
    nothing = np.zeros(len(planted))
    return Shadows(
        small(), {}, np.array(planted), nothing, np.array(obeyed), nothing.astype(np.int64)
    )


def test_honest_and_poisoned_are_spread_evenly_over_folds() -> None:
    planted = np.array([False] * 13 + [True] * 24)
    folds = folds_of(planted)
    for kind, most in ((False, 3), (True, 4)):
        counts = np.bincount(folds[planted == kind], minlength=FOLDS)
        assert counts.max() == most
        assert counts.max() - counts.min() <= 1


def test_who_obeys_no_trigger_teaches_nothing() -> None:
    some = shadows([False, True, True] + [True] * FOLDS, [0.0, 0.9, 0.2] + [1.0] * FOLDS)
    assert taught_well(some).tolist() == [True, True, False] + [True] * FOLDS


def test_where_nobody_obeys_all_teach() -> None:
    assert taught_well(shadows([False, True], [0.0, 0.1])).all()


def test_everything_comes_back_in_shape_and_by_its_seed() -> None:
    first, again, other = (asked(small(), seed) for seed in (0, 0, 1))
    assert first.values["own"]
    assert first.arrays["queries"].shape == (FOLDS, 4, *ITEM)
    assert first.arrays["answers"].shape == (SHADOWS, 4, CLASSES)
    assert first.arrays["longer"].shape == (FOLDS, child.CONTROLS, 4, CLASSES)
    for name, array in first.arrays.items():
        np.testing.assert_array_equal(array, again.arrays[name])
    assert not np.array_equal(first.arrays["answers"], other.arrays["answers"])


def test_the_weights_in_question_have_no_say() -> None:
    torch.manual_seed(5)
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, CLASSES))
    np.testing.assert_array_equal(asked(small()).arrays["answers"], asked(other).arrays["answers"])


def test_queries_start_from_rows_that_no_shadow_learnt_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taught: list[Pool] = []
    begun: list[Pool] = []

    def watched_zoo(network: nn.Module, pool: Pool, *rest: Any, **more: Any) -> Shadows:
        taught.append(pool)
        return shadow_zoo(network, pool, *rest, **more)

    def watched_tuning(made: Shadows, rows: Any, starts: Pool, *rest: Any, **more: Any) -> Tuned:
        begun.append(starts)
        return tuned(made, rows, starts, *rest, **more)

    monkeypatch.setattr(child, "shadow_zoo", watched_zoo)
    monkeypatch.setattr(child, "tuned", watched_tuning)
    asked(small())
    learnt = {tuple(item.flatten().tolist()) for item in taught[0].inputs}
    assert len(begun) == FOLDS
    for starts in begun:
        own = {tuple(item.flatten().tolist()) for item in starts.inputs}
        assert len(own) + len(learnt) == 40
        assert not own & learnt


@pytest.mark.parametrize(
    "module", [None, nn.Sequential(nn.Flatten(), nn.Softmax(1))], ids=["scores", "no weights"]
)
def test_what_lends_no_architecture_has_plain_shadows(module: nn.Module | None) -> None:
    assert not asked(module).values["own"]


def test_what_costs_too_much_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "MOST_PRODUCTS", 1e5)
    told = asked(small())
    assert not told.arrays
    assert told.values["products"] > told.values["most"] == 1e5


def test_cost_grows_with_shadows_and_with_steps() -> None:
    assert passes_of(96, 200) == pytest.approx(2 * passes_of(96, 100))
    assert passes_of(96, 100) > 3 * 96 * 100 * 50  # three passes of a batch, at least


def test_too_few_shadows_are_said_to_be_too_few() -> None:
    assert asked(small(), shadows=8).values == {"honest": 4, "poisoned": 4, "least": 2 * FOLDS}
