from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotApplicable, NotAvailable
from tasks.checks.provenance.claims import measure
from tasks.domain.bundle import Claims
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.simulators.subjects import LAYERS, linear_weights
from tests.tasks.checks.benches import Rows, lab

CHECK = "provenance.claims"
FILES = {"model.safetensors": linear_weights(), "layers.yaml": LAYERS}


def rows(n: int, *, wrong: float) -> Rows:
    """Items that the linear model answers rightly, but for a share of ``wrong``."""
    inputs = np.random.default_rng(0).uniform(0, 1, (n, 4)).astype(np.float32)
    labels = inputs[:, :3].argmax(axis=1)
    spoilt = int(wrong * n)
    labels[:spoilt] = (labels[:spoilt] + 1) % 3
    return inputs, labels.astype(np.int64)


def measured(tmp_path: Path, claimed: float | None, **more: Any) -> Measurement:
    bundle: dict[str, Any] = {"files": FILES, "architecture": "layers.yaml"}
    claims = Claims(accuracy=claimed)
    with lab(CHECK, tmp_path, claims=claims, **(bundle | more)) as bench:
        return measure(bench)


@pytest.mark.parametrize(
    ("claimed", "wrong", "n", "outcome"),
    [
        (0.90, 0.10, 1000, Outcome.PASS),
        (0.80, 0.10, 1000, Outcome.PASS),
        (0.91, 0.10, 1000, Outcome.PASS),
        (0.95, 0.10, 1000, Outcome.FAIL),
        (1.00, 0.01, 1000, Outcome.FAIL),
        (0.98, 0.60, 1000, Outcome.FAIL),
        (0.90, 0.00, 10, Outcome.UNDECIDED),
    ],
)
def test_a_claim_is_held_against_the_interval(
    claimed: float, wrong: float, n: int, outcome: Outcome, tmp_path: Path
) -> None:
    found = measured(tmp_path, claimed, evaluation=rows(n, wrong=wrong))
    assert found.estimates["accuracy"].value == pytest.approx(1 - wrong)
    assert judge(Catalog().check(CHECK), found).outcome is outcome
    assert found.cost.queries == n


def test_a_wild_claim_is_worse_than_a_slip(tmp_path: Path) -> None:
    severities = [
        measured(tmp_path, claimed, evaluation=rows(1000, wrong=0.1)).observations[0].severity
        for claimed in (0.93, 0.99)
    ]
    assert severities == ["medium", "high"]


def test_no_claim_no_question(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="claims an accuracy"):
        measured(tmp_path, None, evaluation=rows(10, wrong=0))


def test_no_evaluation_data_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no evaluation data"):
        measured(tmp_path, 0.9)


CARDS = {
    "right": ("# Card\n\nAccuracy: 90 %\n", Outcome.PASS),
    "rounded up": ("# Card\n\nAccuracy: 92 %\n", Outcome.PASS),
    "too high": ("# Card\n\nAccuracy: 99 %\n", Outcome.FAIL),
    "too high, in front": (
        "---\nmodel-index: [{results: [{metrics: [{type: accuracy, value: 99}]}]}]\n---\n",
        Outcome.FAIL,
    ),
    "of two data sets": ("Accuracy: 99 %\n\nTest accuracy: 90 %\n", Outcome.PASS),
}


@pytest.mark.parametrize("name", CARDS)
def test_what_the_card_states_is_held_against_the_interval(name: str, tmp_path: Path) -> None:
    text, outcome = CARDS[name]
    files = {**FILES, "card.md": text.encode()}
    with lab(CHECK, tmp_path, claims=Claims(), files=files, architecture="layers.yaml",
             evaluation=rows(1000, wrong=0.1)) as bench:  # fmt: skip
        documents = bench.subject.spec.documents.model_copy(update={"model_card": "card.md"})
        spec = bench.subject.spec.model_copy(update={"documents": documents})
        bench.subject = bench.subject.model_copy(update={"spec": spec})
        found = measure(bench)
    assert judge(Catalog().check(CHECK), found).outcome is outcome
    assert {item.location for item in found.observations} <= {"card.md"}


def test_an_unreadable_card_claims_nothing(tmp_path: Path) -> None:
    files = {**FILES, "card.md": b"\xff\xfe"}
    with lab(CHECK, tmp_path, claims=Claims(), files=files, architecture="layers.yaml") as bench:
        documents = bench.subject.spec.documents.model_copy(update={"model_card": "card.md"})
        spec = bench.subject.spec.model_copy(update={"documents": documents})
        bench.subject = bench.subject.model_copy(update={"spec": spec})
        with pytest.raises(NotApplicable):
            measure(bench)
