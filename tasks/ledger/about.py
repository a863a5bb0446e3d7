"""Statements about one noun, such as an approval, a night or a move of a model.

Each is an in-toto statement whose predicate is the noun itself, in a DSSE envelope that one claim
fixes. What is read must be, byte for byte, what the noun would be written as: nothing can be
smuggled in beside it.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from tasks.domain.digest import Digest, hexadecimal
from tasks.domain.frozen import Frozen, canonical_json
from tasks.ledger.entry import read_digest
from tasks.ledger.envelope import Moment, Opened, verify_envelope
from tasks.ledger.rejections import LedgerError, WrongStatementError
from tasks.ledger.statement import PAYLOAD_TYPE, STATEMENT_TYPE
from tasks.ledger.strict_json import parse_canonical
from tasks.ledger.trust import Trust
from tasks.ledger.view import read_capped, scratch_folder
from tasks.store.protocol import ObjectStore

Noun = TypeVar("Noun", bound=Frozen)


def write_about(noun: Frozen, subjects: Mapping[str, Digest], *, predicate_type: str) -> bytes:
    """Returns the canonical JSON of the statement about ``noun``, its subjects in their order."""
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": name, "digest": {"sha256": hexadecimal(digest)}}
                for name, digest in subjects.items()
            ],
            "predicateType": predicate_type,
            "predicate": noun.model_dump(mode="json"),
        }
    )


def read_about(
    payload: bytes, kind: type[Noun], write: Callable[[Noun], bytes], *, what: str, place: str
) -> Noun:
    """Reads back what ``write`` wrote of a noun.

    Args:
        payload: The statement.
        kind: Which noun.
        write: Makes the statement of one.
        what: The noun in words, for messages.
        place: Where the payload lies.

    Raises:
        MalformedError: Not canonical strict JSON.
        WrongStatementError: Another kind of statement, or not about what its predicate says.
    """
    document = parse_canonical(payload, place=place)
    try:
        noun = kind.model_validate_json(canonical_json(document["predicate"]))
    except (ValidationError, KeyError, TypeError) as error:
        raise WrongStatementError(f"{place} holds no {what}") from error
    if write(noun) != payload:
        raise WrongStatementError(f"{place} is no statement about the {what} that it holds")
    return noun


def claimed_statement(claim: str, store: ObjectStore) -> Digest:
    """Returns the digest of the envelope that a claim fixes.

    Raises:
        LedgerError: The claim is gone.
        MalformedError: It holds something else.
    """
    data = store.claimed(claim)
    if data is None:
        raise LedgerError(f"{claim} was claimed and is gone: the store forgets claims")
    return read_digest(data, place=claim)


def place_of(claim: str, digest: Digest) -> str:
    """Returns how messages call the envelope that a claim leads to."""
    return f"{digest} ({claim})"


def opened_statement(
    claim: str, digest: Digest, store: ObjectStore, trust: Trust, dated: Callable[[bytes], Moment]
) -> Opened:
    """Returns the verified envelope that a claim leads to.

    Raises:
        EvidenceError: It does not verify.
        StoreError: It is missing or corrupt.
    """
    with scratch_folder() as scratch:
        data = read_capped(store, digest, scratch=scratch)
    return verify_envelope(
        data, payload_type=PAYLOAD_TYPE, trust=trust, dated=dated, place=place_of(claim, digest)
    )
