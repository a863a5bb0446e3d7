"""in-toto Statement v1 about a run: what was assessed (subject) and what came out (predicate).

Source: in-toto attestation framework, spec/v1/statement.md.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from tasks.domain.bundle import FileEntry
from tasks.domain.digest import Digest, hexadecimal
from tasks.domain.frozen import canonical_json
from tasks.domain.run import RunRecord
from tasks.ledger.envelope import Moment
from tasks.ledger.rejections import MalformedError, WrongStatementError
from tasks.ledger.strict_json import parse_canonical

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://proofhouse.dev/run/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
SUBJECT_NAME = "proofhouse:subject"
"""Names the subject object; bundle paths hold no colon, so it cannot name a file."""

_FIELDS = {"_type", "subject", "predicateType", "predicate"}


class Statement(NamedTuple):
    """A statement as it was read: the record, and the digests it is about by name."""

    record: RunRecord
    subjects: dict[str, Digest]


def write_statement(record: RunRecord, *, files: Iterable[FileEntry] = ()) -> bytes:
    """Returns the canonical JSON of the statement about ``record``.

    Args:
        record: The run.
        files: The files of its bundle; each becomes a subject of its own, so that a third party
            who holds only a model file finds the statement by the file's digest.
    """
    named = {SUBJECT_NAME: record.subject} | {file.path: file.digest for file in files}
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": name, "digest": {"sha256": hexadecimal(digest)}}
                for name, digest in named.items()
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": record.model_dump(mode="json"),
        }
    )


def read_statement(payload: bytes, *, place: str) -> Statement:
    """Reads what :func:`write_statement` wrote.

    Raises:
        MalformedError: Not canonical strict JSON.
        WrongStatementError: Another type of statement or predicate, or not about its own run.
    """
    document = parse_canonical(payload, place=place)
    if not isinstance(document, dict) or set(document) != _FIELDS:
        raise WrongStatementError(f"{place} is no in-toto statement: it needs {sorted(_FIELDS)}")
    for field, expected in (("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)):
        if document[field] != expected:
            raise WrongStatementError(
                f"{place}: {field} is {str(document[field])[:100]!r}, expected {expected!r}"
            )
    subjects = _subjects(document["subject"], place)
    try:
        record = RunRecord.model_validate_json(canonical_json(document["predicate"]))
    except ValidationError as error:
        raise WrongStatementError(
            f"{place}: the predicate is no run record ({error.error_count()} mistakes)"
        ) from error
    if subjects.get(SUBJECT_NAME) != record.subject:
        raise WrongStatementError(
            f"{place} is about {subjects.get(SUBJECT_NAME)}, its record about {record.subject}"
        )
    return Statement(record, subjects)


def statement_moment(payload: bytes) -> Moment:
    """Returns when a statement says that its run was sealed.

    Raises:
        MalformedError, WrongStatementError: As :func:`read_statement`.
    """
    record = read_statement(payload, place="the statement").record
    return Moment(moment_of(record.sealed, place=f"the record of {record.run}"))


def moment_of(text: str, *, place: str) -> datetime:
    """Reads a moment in RFC 3339.

    Raises:
        MalformedError: No such moment, or no time zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MalformedError(f"{place} is dated {text[:40]!r}, which is no RFC 3339 time")
    return moment


def _subjects(rows: Any, place: str) -> dict[str, Digest]:
    found: dict[str, Digest] = {}
    for row in rows if isinstance(rows, list) else ():
        match row:
            case {"name": str(name), "digest": {"sha256": str(digits)}} if len(digits) == 64:
                if name in found:
                    raise WrongStatementError(f"{place} names the subject {name[:100]!r} twice")
                found[name] = Digest(f"sha256:{digits}")
            case _:
                raise WrongStatementError(f"{place}: a subject needs a name and a sha256 digest")
    return found
