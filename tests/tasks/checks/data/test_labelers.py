import json
from pathlib import Path

import numpy as np
import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.data.labelers import CHECK, measure
from tasks.checks.lab import NotAvailable
from tasks.domain.bundle import Documents
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.checks.poisoning.test_spectral_signature import kept
from tests.tasks.statistics.test_agreement import crowd

PATH = "annotations.csv"


def written(*, bad: int | None, error: float = 0.05) -> bytes:
    _, items, who, labels = crowd(800, 6, error=error, seed=2)
    if bad is not None:
        turned = (who == bad) & (labels == 0) & (np.random.default_rng(3).random(len(who)) < 0.5)
        labels[turned] = 1
    lines = [
        f"{item},person-{one},{'abc'[label]}"
        for item, one, label in zip(items, who, labels, strict=True)
    ]
    return "\n".join(["row,labeler,label", *lines]).encode()


def measured(workspace: Path, data: bytes | None, store: MemoryStore) -> Measurement:
    inputs, labels = np.zeros((4, 2), np.float32), np.zeros(4, np.int64)
    files = {} if data is None else {PATH: data}
    with lab(CHECK, workspace, training=(inputs, labels), files=files, store=store) as bench:
        documents = Documents(annotations=None if data is None else PATH)
        spec = bench.subject.spec.model_copy(update={"documents": documents})
        bench.subject = bench.subject.model_copy(update={"spec": spec})
        return measure(bench)


def test_a_labeler_who_turns_a_class_is_named(tmp_path: Path) -> None:
    store = MemoryStore()
    found = measured(tmp_path, written(bad=4), store)
    assert {one.detail.split()[0] for one in found.observations} == {"person-4"}
    assert any("gives b where the others say a" in one.detail for one in found.observations)
    assert judge(Catalog().check(CHECK), found).outcome is Outcome.FAIL
    people = json.loads(kept(store, found.artifacts, "labelers.json"))["labelers"]
    assert min(people, key=lambda one: one["accuracy"])["labeler"] == "person-4"
    plan = json.loads(kept(store, found.artifacts, "audit.json"))
    assert all(0 < one["chance"] <= 1 for one in plan)


def test_honest_labelers_pass_with_both_controls(tmp_path: Path) -> None:
    found = measured(tmp_path, written(bad=None), MemoryStore())
    assert found.observations == ()
    assert len(found.controls) == 2
    assert all(control.held for control in found.controls)
    assert found.estimates["agreement"].low > 0.7
    assert judge(Catalog().check(CHECK), found).outcome is Outcome.PASS


def test_people_who_guess_do_not_agree(tmp_path: Path) -> None:
    found = measured(tmp_path, written(bad=None, error=0.6), MemoryStore())
    assert "data.labelers.agreement" in {one.rule for one in found.observations}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "names no annotations"),
        (b"row,label\n1,a\n", "no column labeler"),
        (b"row,labeler,label\nx,p,a\n", "cannot be read"),
        (b"row,labeler,label\n-1,p,a\n", "below 0"),
        (b"row,labeler,label\n", "names no rows"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"row,labeler,label\n1,p,a\n2,q,b\n", "no item has two labels"),
    ],
)
def test_what_cannot_be_used_is_explained(data: bytes | None, told: str, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match=told):
        measured(tmp_path, data, MemoryStore())
