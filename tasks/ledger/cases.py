"""Closed cases as evidence: their events are signed together, claimed and logged like a night.

Events of a case are write-once claims, which a store's owner could still replace. When a case
closes, ``case-closings/<case>/<count>`` fixes a signed statement with the digest of its head and of
its first ``count`` events. What is added to a closed case (an action undone) is signed anew.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ValidationError
from securesystemslib.signer import Signer

from tasks.domain.case import CaseClosing, CaseEvent, CaseHead
from tasks.domain.digest import Digest, digest_of
from tasks.domain.errors import EvidenceError, ProofhouseError
from tasks.ledger.about import (
    claimed_statement,
    opened_statement,
    place_of,
    read_about,
    write_about,
)
from tasks.ledger.entry import CASE_CLOSINGS, Entry, Sealed, leaf_name
from tasks.ledger.envelope import Moment, sign_envelope
from tasks.ledger.log import Log
from tasks.ledger.rejections import LedgerError
from tasks.ledger.statement import PAYLOAD_TYPE
from tasks.ledger.trust import Trust
from tasks.ledger.witness import Witness
from tasks.store.protocol import ObjectStore

CASES = "cases/"
PREDICATE_TYPE = "https://proofhouse.dev/case/v1"
HEAD, EVENTS = "proofhouse:case", "proofhouse:event/"


class Closed(NamedTuple):
    """A signed closing as it was read; ``problem`` says why it does not count, if so."""

    statement: Digest | None
    closing: CaseClosing | None
    problem: str


def seal_closing(
    case: str,
    *,
    store: ObjectStore,
    signer: Signer,
    trust: Trust,
    witness: Witness | None = None,
) -> Sealed:
    """Signs, claims and logs every event that a case has now; repeatable.

    Raises:
        SigningError: The key cannot be used.
        EvidenceError: The case has no event, or one that is none; or the log does not verify.
        StoreError: The store failed; sealing again resumes.
    """
    closing = _closing(case, store)
    claim = CASE_CLOSINGS + closing.name
    if store.claimed(claim) is None:
        envelope = sign_envelope(write_closing(closing), payload_type=PAYLOAD_TYPE, signer=signer)
        store.claim(claim, store.put(envelope).digest.encode())
    digest = claimed_statement(claim, store)
    log = Log(store, signer, trust=trust, witness=witness)
    return Sealed(statement=digest, ledger_index=log.append(_entry(closing, digest)))


def write_closing(closing: CaseClosing) -> bytes:
    """Returns the canonical JSON of the statement about a closed case; its events are subjects."""
    named = {HEAD: closing.head}
    named |= {f"{EVENTS}{at:06d}": digest for at, digest in enumerate(closing.events)}
    return write_about(closing, named, predicate_type=PREDICATE_TYPE)


def read_closing(payload: bytes, *, place: str) -> CaseClosing:
    """Reads what :func:`write_closing` wrote. Raises as :func:`tasks.ledger.about.read_about`."""
    return read_about(payload, CaseClosing, write_closing, what="case closing", place=place)


def closings(store: ObjectStore, trust: Trust) -> Iterator[Closed]:
    """Yields every signed closing, by case and number of events, with what is wrong with it."""
    for claim in store.claims(CASE_CLOSINGS):
        digest = closing = None
        try:
            digest = claimed_statement(claim, store)
            opened = opened_statement(claim, digest, store, trust, _moment)
            closing = read_closing(opened.payload, place=place_of(claim, digest))
            if CASE_CLOSINGS + closing.name != claim:
                raise LedgerError(f"{claim} leads to {closing.name}")
            if store.claimed(leaf_name(_entry(closing, digest).leaf)) is None:
                raise LedgerError(f"{claim} is not in the ledger; follow the case once more")
        except ProofhouseError as error:
            yield Closed(digest, None, error.message)
        else:
            yield Closed(digest, closing, "")


def closing_problems(closing: CaseClosing, store: ObjectStore, *, last: bool) -> Iterator[str]:
    """Yields where a case is no longer what was signed.

    Args:
        closing: What was signed.
        store: Where the case lies.
        last: No later closing covers more: then nothing may follow its last event.
    """
    head = store.claimed(f"{CASES}{closing.case}/head")
    if head is None or digest_of(head) != closing.head:
        yield f"the head of {closing.case} is {_what(head)}"
    for number, digest in enumerate(closing.events):
        data = store.claimed(_event(closing.case, number))
        if data is None or digest_of(data) != digest:
            yield f"event {number} of {closing.case} is {_what(data)}"
    if last and store.claimed(_event(closing.case, len(closing.events))) is not None:
        yield (
            f"{closing.case} has events after the {len(closing.events)} that were signed: follow "
            "it once more (proofhouse respond), or ask who wrote them"
        )


def evidence_of(closing: CaseClosing, store: ObjectStore) -> tuple[Digest, ...]:
    """Returns the objects that a closed case stands on: its incident and its events' evidence.

    What cannot be read is told by :func:`closing_problems`.
    """
    found: list[Digest] = []
    try:
        found.append(CaseHead.parse(store.claimed(f"{CASES}{closing.case}/head") or b"").incident)
        for number in range(len(closing.events)):
            event = CaseEvent.parse(store.claimed(_event(closing.case, number)) or b"")
            found.extend(event.evidence)
    except ValidationError:
        return tuple(found)
    return tuple(found)


def _closing(case: str, store: ObjectStore) -> CaseClosing:
    head = store.claimed(f"{CASES}{case}/head")
    events: list[bytes] = []
    while (data := store.claimed(_event(case, len(events)))) is not None:
        events.append(data)
    if head is None or not events:
        raise EvidenceError(f"{case} has no event, so nothing can be signed of it")
    try:
        dated = CaseEvent.parse(events[-1]).at
    except ValidationError as error:
        raise EvidenceError(f"{_event(case, len(events) - 1)} is no event of a case") from error
    return CaseClosing(
        case=case, head=digest_of(head), events=tuple(map(digest_of, events)), dated=dated
    )


def _what(data: bytes | None) -> str:
    return "gone" if data is None else "not what was signed when it closed"


def _event(case: str, number: int) -> str:
    return f"{CASES}{case}/{number:06d}"


def _moment(payload: bytes) -> Moment:
    return Moment(read_closing(payload, place="the case closing").dated)


def _entry(closing: CaseClosing, statement: Digest) -> Entry:
    dated = closing.model_dump(mode="json")["dated"]
    return Entry(kind="case", name=closing.name, statement=statement, dated=dated)
