"""A manifest counts when somebody trusted signed it; a change names the rows."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tasks.domain.bundle import Subject
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.croissant import croissant_observations, parse_croissant
from tasks.intake.croissant_card import croissant_card
from tasks.intake.dataset_manifest import Terms, decoded_rows, read_manifest, write_manifest
from tasks.intake.subject import Outside, build_subject
from tasks.intake.writing import make_vendor_key
from tasks.sandbox.protocol import Array
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore

INPUTS = np.random.default_rng(0).random((60, 4), np.float32)
LABELS = np.arange(60) % 3
TERMS = Terms(
    licence="CC-BY-4.0", consent="none needed", source="field trial",
    retention_until=dt.date(2099, 1, 1),
)  # fmt: skip
NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


class Case:
    """A bundle with data, a manifest signed over it, and a vendor's key that is trusted."""

    def __init__(self, folder: Path, terms: Terms = TERMS) -> None:
        self.folder = folder / "bundle"
        self.folder.mkdir()
        self.public = make_vendor_key(folder / "acme.pem")
        self.store = MemoryStore()
        self.write(INPUTS, LABELS)
        document: dict[str, object] = {
            "schema": "proofhouse.bundle/1",
            "vendor": {"name": "Acme", "contact": "a@acme.example"},
            "dataset": {"name": "readings", "version": "3", "classes": 3},
            "data": {"training": {"path": "train.npz"}},
        }
        self.describe(document)
        subject = self.taken_in()
        rows = decoded_rows(subject, self.store.get)
        self.place = self.folder / "rows.json"
        self.place.write_bytes(write_manifest(subject, rows, terms, folder / "acme.pem"))
        self.describe(document | {"documents": {"dataset_manifest": "rows.json"}})

    def describe(self, document: dict[str, object]) -> None:
        (self.folder / "bundle.yaml").write_text(yaml.safe_dump(document))

    def write(self, inputs: Array, labels: Array) -> None:
        np.savez(self.folder / "train.npz", x=inputs, y=labels)

    def taken_in(self, *, trusting: bool = True) -> Subject:
        return build_subject(
            self.folder, store=self.store, sandbox=DirectSandbox(),
            workspace=self.folder.parent / "scratch",
            outside=Outside(trusted_keys=(self.public,) if trusting else (), now=NOW),
        )  # fmt: skip

    def seen(self, *, trusting: bool = True) -> dict[str, Observation]:
        found = self.taken_in(trusting=trusting).observations
        return {
            one.rule.removeprefix("provenance.rows."): one
            for one in found
            if one.rule.startswith("provenance.rows.")
        }


@pytest.fixture
def case(tmp_path: Path) -> Case:
    (tmp_path / "scratch").mkdir()
    return Case(tmp_path)


def test_signed_rows_verify(case: Case) -> None:
    seen = case.seen()
    assert set(seen) == {"verified"}
    assert "60 training rows" in seen["verified"].detail
    assert "key acme" in seen["verified"].detail


def test_a_changed_row_is_named(case: Case) -> None:
    inputs, labels = INPUTS.copy(), LABELS.copy()
    inputs[17] = 0
    labels[40:43] = (labels[40:43] + 1) % 3
    case.write(inputs, labels)
    seen = case.seen()
    assert seen["rows_changed"].severity is Severity.HIGH
    assert "rows 17, 40 to 42 (counted" in seen["rows_changed"].detail
    assert "verified" not in seen


def test_rows_that_were_added_are_named(case: Case) -> None:
    case.write(np.concatenate([INPUTS, INPUTS[:2]]), np.concatenate([LABELS, LABELS[:2]]))
    assert "62 training rows came, 60 were signed" in case.seen()["rows_changed"].detail
    assert "rows 60 to 61" in case.seen()["rows_changed"].detail


def test_the_same_rows_in_another_file_are_the_same_rows(case: Case) -> None:
    np.savez_compressed(case.folder / "train.npz", x=INPUTS, y=LABELS.astype(np.int16))
    seen = case.seen()
    assert set(seen) == {"file_changed"}
    assert seen["file_changed"].severity is Severity.LOW


def test_leaves_that_were_rewritten_do_not_hide_a_change(case: Case) -> None:
    """Whoever changes rows and leaves alike is betrayed by the signed root."""
    inputs = INPUTS.copy()
    inputs[3] = 9
    case.write(inputs, LABELS)
    forged = json.loads(case.place.read_text())
    subject = case.taken_in()
    rows = decoded_rows(subject, case.store.get)
    mine = make_vendor_key(case.folder.parent / "mallory.pem").with_suffix(".pem")
    fresh = json.loads(write_manifest(subject, rows, TERMS, mine))
    forged["leaves"] = fresh["leaves"]
    case.place.write_text(json.dumps(forged))
    assert "which ones cannot be told" in case.seen()["rows_changed"].detail
    case.place.write_text(json.dumps(fresh))
    assert "unknown_key" in case.seen()
    assert "verified" not in case.seen()


def test_a_key_that_nobody_trusts_proves_nothing(case: Case) -> None:
    assert case.seen(trusting=False)["unknown_key"].severity is Severity.MEDIUM


def test_terms_that_lapsed_or_are_silent_are_told(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    seen = Case(tmp_path, Terms(licence="MIT", retention_until=dt.date(2029, 12, 31))).seen()
    assert seen["retention_expired"].severity is Severity.MEDIUM
    assert {"no_consent", "no_source"} <= set(seen)
    assert "no_licence" not in seen


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "{", '{"attestation": 1, "leaves": {}}', '{"attestation": {}, "leaves": {}}'],
)
def test_something_else_is_no_manifest(text: str, case: Case) -> None:
    with pytest.raises(InvalidInputError):
        read_manifest(text.encode(), place="rows.json")
    case.place.write_text(text)
    assert set(case.seen()) == {"unreadable"}


def test_the_card_that_is_written_reads_without_a_complaint(case: Case) -> None:
    subject = case.taken_in()
    card = croissant_card(subject, decoded_rows(subject, case.store.get), TERMS)
    read = parse_croissant(card, place="card.json")
    assert (read.name, read.version, read.conforms) == ("readings", "3", "1.1")
    assert read.licences == ("CC-BY-4.0",)
    assert read.record_sets == 1
    assert [file.is_hashed for file in read.files] == [True]
    seen = croissant_observations(card, subject.spec, subject.files, path="card.json")
    told = {one.rule.rpartition(".")[2] for one in seen}
    assert told == {"matches", "no_rai_biases", "no_rai_use"}
