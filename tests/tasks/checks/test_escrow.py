"""Rows under escrow are looked at, and nothing but digests and rates leaves their folder."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.checks.lab import Lab, NotAvailable
from tasks.checks.privacy import membership_tail
from tasks.domain.bundle import DataSpecs, EscrowSpec
from tasks.domain.digest import digest_of
from tasks.domain.measurement import Measurement
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import Rows, lab
from tests.tasks.checks.privacy.people import model, people

ROWS = 150
SMALL = {"items": 1000, "shadow_models": 4, "label_queries": 2}


def npz(rows: Rows) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=rows[0], y=rows[1])
    return stream.getvalue()


MEMBERS, OTHERS = (npz(rows) for rows in people(ROWS))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "escrow"
    place.mkdir()
    (place / "members.npz").write_bytes(MEMBERS)
    (place / "others.npz").write_bytes(OTHERS)
    return place


def bench(tmp_path: Path, store: MemoryStore, escrow: Path | None, **data: Any) -> Lab:
    made = lab(
        "privacy.membership_tail",
        tmp_path,
        shape=(120,),
        files=model(ROWS, 30),
        classes=2,
        architecture="layers.yaml",
        bounds=(-10.0, 10.0),
        parameters=SMALL,
        store=store,
        **data,
    )
    told = EscrowSpec(members=digest_of(MEMBERS), others=digest_of(OTHERS))
    spec = made.subject.spec.model_copy(update={"data": DataSpecs(escrow=told)})
    made.subject = made.subject.model_copy(update={"spec": spec})
    made._folder = escrow
    return made


def measured(made: Lab) -> Measurement:
    with made:
        return membership_tail.measure(made)


def test_the_answer_is_that_of_rows_handed_in(tmp_path: Path, folder: Path) -> None:
    training, evaluation = people(ROWS)
    found = measured(bench(tmp_path, MemoryStore(), folder))
    plain = bench(tmp_path, MemoryStore(), None, training=training, evaluation=evaluation)
    open_spec = plain.subject.spec.model_copy(update={"data": DataSpecs()})
    plain.subject = plain.subject.model_copy(update={"spec": open_spec})
    assert measured(plain).estimates == found.estimates
    assert any(str(digest_of(MEMBERS)) in limit for limit in found.limits)


def test_no_row_and_no_shadow_model_leaves_the_folder(tmp_path: Path, folder: Path) -> None:
    store = MemoryStore()
    found = measured(bench(tmp_path, store, folder))
    rows = [side[0][at].tobytes() for side in people(ROWS) for at in range(ROWS)]
    for data in store.objects.values():
        assert not any(row in data for row in rows)
    assert not any(row in found.canonical() for row in rows)
    assert not list(store.claims("shadow-banks/"))
    # Inside the folder they are kept, so that the next version of the model costs one pass.
    assert (folder / "kept" / "claims" / "shadow-banks").is_dir()
    assert measured(bench(tmp_path, MemoryStore(), folder)).canonical() == found.canonical()


def test_without_the_folder_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="point PROOFHOUSE_ESCROW at the folder"):
        measured(bench(tmp_path, MemoryStore(), None))


def test_a_file_that_was_changed_is_not_used(tmp_path: Path, folder: Path) -> None:
    (folder / "members.npz").write_bytes(MEMBERS + b" ")
    with pytest.raises(NotAvailable, match=r"none of the 2 files .* has the digest sha256:"):
        measured(bench(tmp_path, MemoryStore(), folder))


def test_a_file_that_is_no_table_is_told(tmp_path: Path, folder: Path) -> None:
    (folder / "rubbish.npz").write_bytes(b"PK rubbish")
    made = bench(tmp_path, MemoryStore(), folder)
    told = EscrowSpec(members=digest_of(b"PK rubbish"), others=digest_of(OTHERS))
    spec = made.subject.spec.model_copy(update={"data": DataSpecs(escrow=told)})
    made.subject = made.subject.model_copy(update={"spec": spec})
    with pytest.raises(NotAvailable, match=r"rubbish\.npz cannot be read"):
        measured(made)


def test_a_bundle_without_escrow_looks_as_before() -> None:
    assert "escrow" not in DataSpecs().model_dump()
