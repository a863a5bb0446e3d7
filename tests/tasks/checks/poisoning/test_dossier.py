import json
from pathlib import Path

import numpy as np

from tasks.attacks.poisoning.label_flips import label_flips
from tasks.checks.poisoning.dossier import CHECK, DETECTORS, KINDS, measure
from tasks.domain.measurement import Measurement
from tasks.sandbox.protocol import Array
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.checks.poisoning.test_spectral_signature import kept
from tests.tasks.targets.models import digits


def measured(workspace: Path, training: tuple[Array, Array], store: MemoryStore) -> Measurement:
    with lab(
        CHECK, workspace, training=training, classes=10, store=store, parameters={"rows": 700}
    ) as bench:
        return measure(bench)


def test_flipped_labels_are_counted_and_lead_the_list(tmp_path: Path) -> None:
    rows = digits().train
    made = label_flips(rows.inputs, rows.labels, rate=0.1, seed=1)
    store = MemoryStore()
    found = measured(tmp_path, (made.inputs, made.labels), store)
    assert found.estimates["contradicted_labels"].value > 0.05
    told = json.loads(kept(store, found.artifacts, "dossier.json"))
    assert np.mean([made.rows[row["row"]] for row in told[:30]]) > 0.7
    assert [one.rule for one in found.observations if one.severity.rank >= 2] == [
        "poisoning.contradicted_labels"
    ]
    assert {f"{name} on {KINDS[0]}" for name in DETECTORS} <= set(found.estimates)
    assert found.estimates[f"joined on {KINDS[0]}"].value > 0.8


def test_ordinary_digits_accuse_nobody_and_each_power_is_told(tmp_path: Path) -> None:
    rows = digits().train
    found = measured(tmp_path, (rows.inputs, rows.labels), MemoryStore())
    assert found.estimates["contradicted_labels"].value < 0.02
    assert found.estimates["repeated_rows"].value == 0
    assert [control.name for control in found.controls if control.planted] == list(KINDS)
    assert found.estimates[f"near_duplicates on {KINDS[2]}"].value > 0.99
    assert all(control.held for control in found.controls if not control.planted)
