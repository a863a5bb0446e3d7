"""Output filters take away and never add; a new file is one by being there."""

from pathlib import Path

import numpy as np
import pytest

from tasks.domain.errors import InvalidInputError
from tasks.gateway import filters
from tasks.gateway.filters import label_only as label_only_file
from tasks.gateway.filters.protocol import Answer, Filters, whole_answer
from tasks.gateway.policy import FilterStep

NAMES = sorted(
    file.stem
    for file in Path(filters.__file__).parent.glob("*.py")
    if file.stem not in {"__init__", "protocol"}
)
DICE = np.random.default_rng(0)
RANDOM = np.random.default_rng(1).dirichlet(np.ones(5), 200)


def applied(*steps: tuple[str, dict[str, float]]) -> Answer:
    chosen = Filters([FilterStep(name=name, settings=settings) for name, settings in steps])
    return chosen.applied(whole_answer(RANDOM), DICE)


@pytest.mark.parametrize("name", NAMES)
def test_every_filter_keeps_the_label_the_order_and_the_range(name: str) -> None:
    shown = applied((name, {}))
    np.testing.assert_array_equal(shown.labels[:, 0], RANDOM.argmax(axis=1))
    if shown.probabilities is not None:
        assert (np.diff(shown.probabilities, axis=1) <= 0).all()
        assert 0 <= shown.probabilities.min() <= shown.probabilities.max() <= 1


def test_each_filter_does_what_it_says() -> None:
    assert applied(("top_k", {"k": 2})).labels.shape == (200, 2)
    assert applied(("label_only", {})).probabilities is None
    rounded = applied(("rounding", {"decimals": 1})).probabilities
    assert rounded is not None
    assert set(np.unique(rounded)) <= {round(n / 10, 1) for n in range(11)}
    noisy = applied(("noise", {"scale": 0.02})).probabilities
    whole = whole_answer(RANDOM).probabilities
    assert noisy is not None
    assert whole is not None
    assert 0.005 < np.abs(noisy - whole).mean() < 0.05


def test_filters_work_one_after_the_other() -> None:
    shown = applied(("noise", {}), ("top_k", {"k": 1}), ("rounding", {"decimals": 0}))
    assert shown.probabilities is not None
    assert shown.probabilities.shape == (200, 1)
    assert set(np.unique(shown.probabilities)) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "step",
    [
        ("unheard_of", {}), ("protocol", {}), ("top_k", {"k": 0}), ("rounding", {"decimals": 9}),
        ("noise", {"scale": 2}),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_told_at_start(step: tuple[str, dict[str, float]]) -> None:
    with pytest.raises(InvalidInputError):
        applied(step)


def test_a_filter_that_shows_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(answer: Answer, *_: object) -> Answer:
        return Answer(np.repeat(answer.labels, 2, axis=1), None)

    monkeypatch.setattr(label_only_file, "label_only", generous)
    with pytest.raises(InvalidInputError, match="shows more"):
        applied(("label_only", {}))


def test_a_policy_file_writes_filters_flat() -> None:
    step = FilterStep.model_validate({"name": "rounding", "decimals": 2})
    assert step == FilterStep(name="rounding", settings={"decimals": 2})
