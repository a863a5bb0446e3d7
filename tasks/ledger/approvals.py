"""Approvals as evidence: an in-toto statement in a DSSE envelope, claimed and logged like a run.

An approval counts when a trusted key signed it, the log lists it, and it has not expired. The
envelope is claimed before it is logged, so an approval cannot be logged with two envelopes.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from securesystemslib.signer import Signer

from tasks.domain.approval import Approval
from tasks.domain.digest import Digest
from tasks.domain.errors import ProofhouseError, SigningError
from tasks.ledger.about import (
    claimed_statement,
    opened_statement,
    place_of,
    read_about,
    write_about,
)
from tasks.ledger.entry import APPROVALS, Entry, Sealed, leaf_name
from tasks.ledger.envelope import Moment, sign_envelope
from tasks.ledger.log import Log
from tasks.ledger.rejections import LedgerError
from tasks.ledger.statement import PAYLOAD_TYPE
from tasks.ledger.trust import Trust
from tasks.ledger.witness import Witness
from tasks.store.protocol import ObjectStore

PREDICATE_TYPE = "https://proofhouse.dev/approval/v1"
SUBJECT_NAME = "proofhouse:approved"


class Held(NamedTuple):
    """One approval as the store holds it; ``problem`` says why it does not count, if so."""

    name: str
    statement: Digest | None
    approval: Approval | None
    keyid: str
    problem: str


def seal_approval(
    approval: Approval,
    *,
    store: ObjectStore,
    signer: Signer,
    trust: Trust,
    witness: Witness | None = None,
) -> Sealed:
    """Signs, claims and logs an approval; repeatable.

    Raises:
        SigningError: The key is not trusted here, so that its approval would not count.
        EvidenceError: The log does not verify.
        StoreError: The store failed; sealing again resumes.
    """
    keyid = signer.public_key.keyid
    if trust.key(keyid) is None:
        raise SigningError(
            f"The key {keyid} is not trusted here, so its approval would not count. Copy its "
            "public half (PEM) into keys/trusted of this home, then approve again."
        )
    trust.verify_standing(keyid, signed=approval.issued, place=approval.name)
    envelope = sign_envelope(write_approval(approval), payload_type=PAYLOAD_TYPE, signer=signer)
    digest = store.put(envelope).digest
    if not store.claim(APPROVALS + approval.name, digest.encode()):
        digest = claimed_statement(APPROVALS + approval.name, store)
    log = Log(store, signer, trust=trust, witness=witness)
    return Sealed(statement=digest, ledger_index=log.append(_entry(approval, digest)))


def held_approvals(store: ObjectStore, trust: Trust) -> Iterator[Held]:
    """Yields every approval in the store, by name, with what is wrong with it."""
    for claim in store.claims(APPROVALS):
        yield _held(claim.removeprefix(APPROVALS), store, trust)


def standing_problem(approval: Approval, now: datetime) -> str:
    """Returns why an approval does not count at this moment; empty when it does."""
    if now >= approval.expires:
        return f"it expired on {approval.expires:%Y-%m-%d}"
    if now < approval.issued:
        return f"it is dated {approval.issued:%Y-%m-%d %H:%M}, which is still to come"
    return ""


def write_approval(approval: Approval) -> bytes:
    """Returns the canonical JSON of the statement about an approval."""
    return write_about(approval, {SUBJECT_NAME: approval.about}, predicate_type=PREDICATE_TYPE)


def read_approval(payload: bytes, *, place: str) -> Approval:
    """Reads what :func:`write_approval` wrote. Raises as :func:`tasks.ledger.about.read_about`."""
    return read_about(payload, Approval, write_approval, what="approval", place=place)


def _held(name: str, store: ObjectStore, trust: Trust) -> Held:
    digest, claim = None, APPROVALS + name
    try:
        digest = claimed_statement(claim, store)
        opened = opened_statement(claim, digest, store, trust, _moment)
        approval = read_approval(opened.payload, place=place_of(claim, digest))
        if approval.name != name:
            raise LedgerError(f"{claim} leads to {approval.name}")
    except ProofhouseError as error:
        return Held(name, digest, None, "", error.message)
    logged = store.claimed(leaf_name(_entry(approval, digest).leaf)) is not None
    problem = "" if logged else f"{name} is not in the ledger; approve again"
    return Held(name, digest, approval, opened.keyids[0], problem)


def _moment(payload: bytes) -> Moment:
    return Moment(read_approval(payload, place="the approval").issued)


def _entry(approval: Approval, statement: Digest) -> Entry:
    dated = approval.model_dump(mode="json")["issued"]
    return Entry(kind="approval", name=approval.name, statement=statement, dated=dated)
