"""Approvals as evidence: what counts, what does not, and that it says why."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from securesystemslib.signer import CryptoSigner

from tasks.domain.approval import Approval
from tasks.domain.digest import digest_of
from tasks.domain.errors import SigningError
from tasks.ledger.approvals import (
    held_approvals,
    read_approval,
    seal_approval,
    standing_problem,
    write_approval,
)
from tasks.ledger.entry import APPROVALS
from tasks.ledger.envelope import sign_envelope
from tasks.ledger.rejections import WrongStatementError
from tasks.ledger.statement import PAYLOAD_TYPE
from tasks.ledger.trust import KeyStanding, Trust
from tasks.ledger.verify import verify_all
from tests.simulators.store import MemoryStore

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ALICE, MALLORY = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
TRUST = Trust([ALICE.public_key])


def approval(**changed: Any) -> Approval:
    told: dict[str, Any] = {
        "kind": "tier", "asset": "Acme/reader@1", "tier": "low", "reason": "a pilot",
        "by": "Alice", "issued": NOW, "expires": NOW + timedelta(days=30),
    }  # fmt: skip
    return Approval.model_validate(told | changed)


def finding(**changed: Any) -> Approval:
    told = {
        "kind": "finding", "tier": None, "run": "run-1", "check": "extraction.fidelity",
        "measurement": digest_of(b"m"), "subject": digest_of(b"s"),
    }  # fmt: skip
    return approval(**(told | changed))


@pytest.mark.parametrize("made", [approval(), finding()], ids=["tier", "finding"])
def test_a_sealed_approval_counts_and_verifies(made: Approval) -> None:
    store = MemoryStore()
    first = seal_approval(made, store=store, signer=ALICE, trust=TRUST)
    assert seal_approval(made, store=store, signer=ALICE, trust=TRUST) == first
    [held] = held_approvals(store, TRUST)
    assert (held.approval, held.problem, held.keyid) == (made, "", ALICE.public_key.keyid)
    verified = verify_all(store, TRUST)
    assert verified.ok, verified.problems
    assert (verified.ledger_size, verified.garbage) == (1, ())


def test_a_key_that_nobody_trusts_does_not_approve() -> None:
    store = MemoryStore()
    with pytest.raises(SigningError, match="not trusted here"):
        seal_approval(approval(), store=store, signer=MALLORY, trust=TRUST)
    assert list(store.claims()) == []


def forged(store: MemoryStore) -> None:
    """Somebody who can write to the store puts an approval of their own there."""
    envelope = sign_envelope(write_approval(approval()), payload_type=PAYLOAD_TYPE, signer=MALLORY)
    store.claim(APPROVALS + approval().name, store.put(envelope).digest.encode())


def altered(store: MemoryStore) -> None:
    seal_approval(approval(tier="high"), store=store, signer=ALICE, trust=TRUST)
    [name] = store.claims(APPROVALS)
    other = approval(expires=NOW + timedelta(days=300))
    store.named[APPROVALS + other.name] = store.named.pop(name)


def unlogged(store: MemoryStore) -> None:
    envelope = sign_envelope(write_approval(approval()), payload_type=PAYLOAD_TYPE, signer=ALICE)
    store.claim(APPROVALS + approval().name, store.put(envelope).digest.encode())


TRICKS = {
    "signed by a stranger": (forged, "nobody here trusts"),
    "moved to another name": (altered, "leads to"),
    "never logged": (unlogged, "not in the ledger"),
}


@pytest.mark.parametrize("name", TRICKS)
def test_what_does_not_count_says_why(name: str) -> None:
    trick, words = TRICKS[name]
    store = MemoryStore()
    trick(store)
    [held] = held_approvals(store, TRUST)
    assert words in held.problem
    told = verify_all(store, TRUST)
    assert words in " ".join((*told.problems, *told.notes))


def test_a_revoked_key_takes_its_approvals_with_it() -> None:
    store = MemoryStore()
    seal_approval(approval(), store=store, signer=ALICE, trust=TRUST)
    gone = Trust([ALICE.public_key], [KeyStanding(keyid=ALICE.public_key.keyid, revoked=True)])
    [held] = held_approvals(store, gone)
    assert "revoked" in held.problem


def test_a_dropped_approval_is_missed() -> None:
    store = MemoryStore()
    seal_approval(approval(), store=store, signer=ALICE, trust=TRUST)
    del store.named[APPROVALS + approval().name]
    told = verify_all(store, TRUST)
    assert not told.ok
    assert any("approvals/" in problem and "missing" in problem for problem in told.problems)


@pytest.mark.parametrize(
    ("days", "words"), [(-1, "still to come"), (0, ""), (29, ""), (30, "expired"), (300, "expired")]
)
def test_an_approval_counts_between_its_days(days: int, words: str) -> None:
    assert words in standing_problem(approval(), NOW + timedelta(days=days))
    assert bool(standing_problem(approval(), NOW + timedelta(days=days))) is bool(words)


@pytest.mark.parametrize(
    "changed",
    [{"tier": None}, {"expires": NOW}, {"kind": "finding"}, {"reason": " "}, {"by": ""}],
    ids=str,
)
def test_half_an_approval_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        approval(**changed)


def test_a_statement_is_read_as_it_was_written_only() -> None:
    payload = write_approval(approval())
    assert read_approval(payload, place="here") == approval()
    other = payload.replace(b"approval/v1", b"approval/v2", 1)
    with pytest.raises(WrongStatementError):
        read_approval(other, place="here")
