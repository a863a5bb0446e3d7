"""Statements are in-toto Statement v1 by other people's readers too."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as TheirStatement

from tasks.domain.errors import EvidenceError
from tasks.domain.frozen import canonical_json
from tasks.ledger.rejections import MalformedError, WrongStatementError
from tasks.ledger.statement import moment_of, read_statement, statement_moment, write_statement
from tests.simulators.store import MemoryStore
from tests.tasks.ledger.evidence import make_case

CASE = make_case(MemoryStore())
PAYLOAD = write_statement(CASE.record, files=CASE.files)


def test_subjects_are_the_subject_object_and_every_file() -> None:
    statement = read_statement(PAYLOAD, place="x")
    assert statement.record == CASE.record
    assert statement.subjects == {
        "proofhouse:subject": CASE.record.subject,
        **{file.path: file.digest for file in CASE.files},
    }


def test_the_attestation_library_accepts_it() -> None:
    proto = json_format.Parse(PAYLOAD, statement_pb2.Statement())
    TheirStatement.copy_from_pb(proto).validate()
    assert proto.predicate_type == "https://proofhouse.dev/run/v1"
    assert len(proto.subject) == 3


@pytest.mark.shared_data
def test_the_schemas_of_the_specification_accept_it() -> None:
    root = os.environ.get("PROOFHOUSE_TEST_REFERENCE")
    if not root:
        pytest.skip("PROOFHOUSE_TEST_REFERENCE does not name a folder with the in-toto schemas")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(root) / "in-toto" / "statement-v1.schema.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(json.loads(PAYLOAD))


CHANGES: dict[str, dict[str, Any]] = {
    "older statement": {"_type": "https://in-toto.io/Statement/v0.1"},
    "other predicate type": {"predicateType": "https://slsa.dev/provenance/v1"},
    "predicate no record": {"predicate": {"run": "x"}},
    "no subject": {"subject": []},
    "subject no list": {"subject": None},
    "subject without digest": {"subject": [{"name": "proofhouse:subject"}]},
    "another subject": {
        "subject": [{"name": "proofhouse:subject", "digest": {"sha256": "0" * 64}}]
    },
    "a subject twice": {"subject": json.loads(PAYLOAD)["subject"] * 2},
    "further field": {"more": 1},
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_statements_are_refused(name: str) -> None:
    with pytest.raises(WrongStatementError):
        read_statement(canonical_json(json.loads(PAYLOAD) | CHANGES[name]), place="x")


def test_a_statement_is_dated_by_its_record() -> None:
    assert statement_moment(PAYLOAD).signed.isoformat() == "2026-01-02T03:05:05+00:00"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-02T03:04:05", "2026-13-01T00:00:00Z"])
def test_dates_need_a_form_and_a_zone(text: str) -> None:
    with pytest.raises(MalformedError, match="RFC 3339"):
        moment_of(text, place="x")


def test_spaces_make_another_statement() -> None:
    with pytest.raises(EvidenceError):
        read_statement(PAYLOAD + b" ", place="x")
