import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tasks.catalog.reading import Catalog
from tasks.domain.bundle import Dataset
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.estimate import Estimate
from tasks.domain.execution import Execution
from tasks.domain.finding import Verdict
from tasks.domain.measurement import Artifact, Measurement, Status
from tasks.domain.run import RunRecord
from tasks.inventory.rows import Run
from tasks.response.quarantining import APART, CHECK, lay_out, quarantine, rollback_to, statement
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject

INPUTS = np.arange(20, dtype=np.float32).reshape(10, 2)
LABELS = np.arange(10) % 2
GONE = np.array([2, 5, 7])


def measurement(store: MemoryStore, rows: Any = GONE) -> Measurement:
    artifacts: tuple[Artifact, ...] = ()
    if rows is not None:
        ref = store.put(safetensors.numpy.save({"rows": rows}))
        artifacts = (
            Artifact(
                name="quarantine.safetensors", title="rows", media_type="application/octet-stream",
                digest=ref.digest, size_bytes=ref.size_bytes,
            ),
        )  # fmt: skip
    half = Estimate(value=0.5, low=0.4, high=0.6, n=100)
    return Measurement(
        check=CHECK, version=Catalog().check(CHECK).version, status=Status.MEASURED,
        detail="searched", artifacts=artifacts,
        estimates={"trigger_1_without": half, "flagged_fraction": half},
    )  # fmt: skip


def record(store: MemoryStore, *, rows: Any = GONE, check: str = CHECK) -> RunRecord:
    tensors = safetensors.numpy.save({"inputs": INPUTS, "labels": LABELS})
    digest = store.put(tensors).digest
    data = Dataset(role="training", path="t.npz", source=digest, digest=digest, rows=10)
    subject = linear_subject(store).model_copy(update={"datasets": (data,)})
    kept = store.put(measurement(store, rows).canonical()).digest
    run = Execution(
        check=check, spec=digest, measurement=kept, seconds=0, reused=False, sandbox="L3"
    )
    fields: dict[str, Any] = {
        "run": "run-1",
        "asset": subject.spec.asset,
        "subject": store.put(subject.canonical()).digest,
        "executions": (run,),
    }
    return RunRecord.model_construct(**fields)


def test_the_named_rows_are_cut_out_and_both_parts_are_signed_for(tmp_path: Path) -> None:
    store = MemoryStore()
    made = record(store)
    cut = quarantine(made, store)
    assert cut.rows.tolist() == GONE.tolist()
    np.testing.assert_array_equal(cut.clean["inputs"], np.delete(INPUTS, GONE, 0))
    np.testing.assert_array_equal(cut.gone["labels"], LABELS[GONE])
    told = json.loads(statement(made, cut, store, rollback="Acme/reader@0"))
    names = {item["name"]: "sha256:" + item["digest"]["sha256"] for item in told["subject"]}
    clean = safetensors.numpy.load(store.get(Digest(names["clean"])))
    np.testing.assert_array_equal(clean["labels"], np.delete(LABELS, GONE))
    predicate = told["predicate"]
    assert predicate["rows"] == GONE.tolist()
    assert predicate["recipe"]["train_on"] == names["clean"]
    assert set(predicate["compared"]) == {"trigger_1_without"}
    files = lay_out(cut, b"{}", predicate, tmp_path / "out")
    assert all(file.is_file() for file in files)
    with np.load(tmp_path / "out" / "clean.npz") as kept:
        np.testing.assert_array_equal(kept["y"], np.delete(LABELS, GONE))


@pytest.mark.parametrize(
    ("more", "told"),
    [({"rows": None}, "no rows to quarantine"), ({"check": "data.validation"}, "did not ask")],
)
def test_a_run_without_such_rows_is_explained(more: dict[str, Any], told: str) -> None:
    store = MemoryStore()
    with pytest.raises(InvalidInputError, match=told):
        quarantine(record(store, **more), store)


def known(asset: str, verdict: Verdict, ledger_index: int) -> Run:
    fields: dict[str, Any] = {
        "asset": asset,
        "verdict": verdict.value,
        "ledger_index": ledger_index,
    }
    fields["sealed"] = f"2026-01-{28 - ledger_index}"  # by a clock that went back each time
    return Run.model_construct(**fields)


def test_the_way_back_is_the_newest_accepted_other_version() -> None:
    made = record(MemoryStore())
    name = made.asset.rpartition("@")[0]
    runs = [
        known(f"{name}@0.1", Verdict.ACCEPTED, 1),
        known(f"{name}@0.2", Verdict.ACCEPTED_WITH_CONDITIONS, 2),
        known(f"{name}@0.3", Verdict.REFUSED, 3),
        known(made.asset, Verdict.ACCEPTED, 4),
        known("Acme/other@9", Verdict.ACCEPTED, 5),
    ]
    assert rollback_to(made, runs) == f"{name}@0.2"
    assert rollback_to(made, runs[2:]) is None


def apart(store: MemoryStore, *, listed: int = 3) -> Measurement:
    rows = [{"row": int(row), "label": 0} for row in GONE[::-1]]
    ref = store.put(json.dumps(rows).encode())
    return Measurement(
        check=APART, version=1, status=Status.MEASURED, detail="scored",
        facts={"flagged_rows": listed},
        artifacts=(
            Artifact(
                name="flagged.json", title="rows", media_type="application/json",
                digest=ref.digest, size_bytes=ref.size_bytes,
            ),
        ),
    )  # fmt: skip


def with_apart(store: MemoryStore, *, rows: Any, listed: int = 3) -> RunRecord:
    made = record(store, rows=rows)
    execution = made.executions[0].model_copy(
        update={
            "check": APART,
            "measurement": store.put(apart(store, listed=listed).canonical()).digest,
        }
    )
    return made.model_copy(update={"executions": (*made.executions, execution)})


def test_rows_that_lie_apart_are_cut_out_where_no_trigger_was_found() -> None:
    store = MemoryStore()
    cut = quarantine(with_apart(store, rows=None), store)
    assert cut.rows.tolist() == GONE.tolist()
    assert Measurement.parse(store.get(cut.measurement)).check == APART


def test_rows_that_teach_a_trigger_come_first() -> None:
    store = MemoryStore()
    cut = quarantine(with_apart(store, rows=GONE[:1]), store)
    assert cut.rows.tolist() == GONE[:1].tolist()


def test_a_list_that_leaves_rows_out_is_no_list_to_cut_by() -> None:
    store = MemoryStore()
    with pytest.raises(InvalidInputError, match="no rows to quarantine"):
        quarantine(with_apart(store, rows=None, listed=200), store)
