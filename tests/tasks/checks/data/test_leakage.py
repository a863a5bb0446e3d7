"""Twins across sets, within them and under two labels: pictures, tables and texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.data.leakage import measure
from tasks.checks.lab import NotAvailable
from tasks.domain.bundle import DataSpec, DataSpecs
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.domain.severity import Severity
from tasks.judging.gates import judge
from tests.tasks.checks.benches import Rows, lab

CHECK = "data.leakage"


def pictures(n: int = 400, *, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(0, 1, (n, 1, 8, 8)).astype(np.float32)
    return inputs, np.arange(n, dtype=np.int64) % 3


def measured(tmp_path: Path, **more: Any) -> tuple[Measurement, Outcome]:
    with lab(CHECK, tmp_path, **more) as made:
        found = measure(made)
    return found, judge(Catalog().check(CHECK), found).outcome


def rules(found: Measurement) -> dict[str, Severity]:
    return {seen.rule.removeprefix("data.leakage."): seen.severity for seen in found.observations}


def test_sets_apart_pass_with_controls_that_held(tmp_path: Path) -> None:
    found, outcome = measured(tmp_path, training=pictures(), evaluation=pictures(300, seed=1))
    assert (outcome, found.observations) == (Outcome.PASS, ())
    assert [control.held for control in found.controls] == [True, True]
    assert found.estimates["near_overlap"].value == 0


def test_noisy_copies_across_sets_are_found_with_their_labels(tmp_path: Path) -> None:
    training, (inputs, labels) = pictures(), pictures(300, seed=1)
    noise = np.random.default_rng(2).normal(0, 0.01, (30, 1, 8, 8))
    inputs[:30] = 0.9 * training[0][:30] + noise
    labels[:30] = training[1][:30]
    labels[:10] = (labels[:10] + 1) % 3
    found, outcome = measured(tmp_path, training=training, evaluation=(inputs, labels))
    assert outcome is Outcome.FAIL
    assert found.estimates["near_overlap"].value == 30 / 300
    assert found.estimates["equal_overlap"].value == 0
    assert found.estimates["near_two_labels"].value == 20 / 700
    assert rules(found) == {"near_overlap": Severity.MEDIUM, "near_two_labels": Severity.MEDIUM}
    assert "first evaluation 0, evaluation 1" in found.observations[0].detail


def test_equal_rows_are_told_apart_from_near_ones(tmp_path: Path) -> None:
    training, (inputs, labels) = pictures(), pictures(300, seed=1)
    inputs[0] = training[0][5]
    labels[0] = training[1][5]
    training[0][7] = training[0][8]
    found, outcome = measured(tmp_path, training=training, evaluation=(inputs, labels))
    assert outcome is Outcome.PASS
    assert {rule for rule in rules(found) if rule.startswith("equal")} == {
        "equal_overlap", "equal_duplicates", "equal_two_labels",
    }  # fmt: skip
    assert "evaluation 0" in found.observations[0].detail


def test_tables_with_rounded_copies(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = (rng.normal(50, 10, (400, 6)).astype(np.float32) for _ in range(2))
    test[:40] = np.round(train[:40], 1)
    labels = np.zeros(400, dtype=np.int64)
    found, outcome = measured(tmp_path, training=(train, labels), evaluation=(test, labels))
    assert (outcome, found.estimates["near_overlap"].value) == (Outcome.FAIL, 0.1)
    assert all(control.held for control in found.controls)


def test_in_a_table_of_few_values_twins_say_little(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sets = [
        (rng.integers(0, 2, (400, 3)).astype(np.float32), rng.integers(0, 2, 400)) for _ in range(2)
    ]
    found, outcome = measured(tmp_path, training=sets[0], evaluation=sets[1])
    assert (outcome, found.facts["commonplace"]) == (Outcome.PASS, True)
    assert set(rules(found).values()) == {Severity.LOW}
    assert "commonplace" in found.limits[-1]


def test_rows_beyond_the_limit_are_sampled_with_an_interval(tmp_path: Path) -> None:
    found, _ = measured(
        tmp_path, training=pictures(), evaluation=pictures(300, seed=1), parameters={"rows": 200}
    )
    estimate = found.estimates["near_overlap"]
    assert estimate.low == 0 < estimate.high
    assert "200 of 700 rows were drawn" in found.limits[-1]


def text_files(*, copies: int) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    words = [f"word{at}" for at in range(400)]
    texts = [" ".join(rng.choice(words, 25)) for _ in range(600)]
    made = {"train.csv": texts[:400], "test.csv": texts[400:]}
    made["test.csv"][:copies] = [f"{text.upper()} indeed" for text in texts[:copies]]
    return {
        name: ("text,label\n" + "".join(f"{text},0\n" for text in rows)).encode()
        for name, rows in made.items()
    }


@pytest.mark.parametrize(("copies", "wanted"), [(0, Outcome.PASS), (20, Outcome.FAIL)])
def test_texts_that_nobody_can_decode_are_read_as_text(
    copies: int, wanted: Outcome, tmp_path: Path
) -> None:
    data = DataSpecs(
        training=DataSpec(path="train.csv", inputs="text", labels="label"),
        evaluation=DataSpec(path="test.csv", inputs="text", labels="label"),
    )
    found, outcome = measured(tmp_path, files=text_files(copies=copies), data=data)
    assert outcome is wanted, found.detail
    assert found.estimates["near_overlap"].value == copies / 200
    assert found.facts["searched"] == "texts"
    assert [control.held for control in found.controls] == [True, True]


def test_without_data_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no data"):
        measured(tmp_path)
