import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tasks.attacks.poisoning.blended import blended
from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotAvailable
from tasks.checks.poisoning.trigger_mining import CHECK, confirmed, measure
from tasks.domain.finding import Outcome
from tasks.judging.gates import judge
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.checks.poisoning.test_spectral_signature import kept
from tests.tasks.targets.models import digits

TARGET = 3


def test_poisoned_digits_fail_with_the_rows_to_quarantine(tmp_path: Path) -> None:
    rows, clean = digits()
    made = blended(rows.inputs, rows.labels, target=TARGET, rate=0.05, seed=1)
    store = MemoryStore()
    with lab(
        CHECK, tmp_path, training=(made.inputs, made.labels),
        evaluation=(clean.inputs, clean.labels), classes=10, store=store,
        parameters={"control_rows": 600, "planted_part": 0.05},
    ) as bench:  # fmt: skip
        found = measure(bench)
    finding = judge(Catalog().check(CHECK), found)
    assert finding.outcome is Outcome.FAIL, finding.detail
    assert [
        control.name for control in found.controls if control.found and not control.planted
    ] == []
    assert len(found.controls) == 3
    assert found.facts["suspected_class"] == TARGET
    listed = np.array(
        [row["row"] for row in json.loads(kept(store, found.artifacts, "flagged.json"))]
    )
    assert made.rows[listed].mean() > 0.9
    gone = safetensors.numpy.load(kept(store, found.artifacts, "quarantine.safetensors"))["rows"]
    assert set(gone) == set(listed)
    assert found.estimates["trigger_1_without"].high < 0.2
    assert found.estimates["accuracy_without_flagged"].value > 0.93


@pytest.mark.parametrize(
    ("without", "random", "real"),
    [(0.0, 0.9, True), (0.2, 0.9, True), (0.33, 0.9, False), (0.0, 0.2, False)],
)
def test_only_what_hangs_on_its_rows_is_a_trigger(
    without: float, random: float, real: bool
) -> None:
    assert confirmed({"effect": 0.9, "without": without, "random": random}) is real


def test_rows_of_one_class_are_refused(tmp_path: Path) -> None:
    rows = digits().train
    with (
        lab(CHECK, tmp_path, training=(rows.inputs, np.zeros_like(rows.labels))) as bench,
        pytest.raises(NotAvailable, match="of 1 classes"),
    ):
        measure(bench)
