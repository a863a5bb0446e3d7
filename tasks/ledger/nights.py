"""Nights as evidence: a signed statement about what became of every live asset, claimed and logged.

``night-starts/<night>`` says when a night began, ``night-places/<night>`` how long the log was
then: what came since is of this night, whatever clocks say. ``nights/<night>`` fixes its envelope.
A night is over once the log lists that. Whoever begins while one is open goes on with the same one,
so a night that was killed is resumed and not begun anew.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple

from securesystemslib.signer import Signer

from tasks.domain.digest import Digest, digest_of
from tasks.domain.errors import ProofhouseError
from tasks.domain.moments import rfc3339
from tasks.domain.night import Night
from tasks.ledger.about import (
    claimed_statement,
    opened_statement,
    place_of,
    read_about,
    write_about,
)
from tasks.ledger.entry import NIGHTS, Entry, Sealed, leaf_name, read_index
from tasks.ledger.envelope import Moment, sign_envelope
from tasks.ledger.log import Log
from tasks.ledger.rejections import LedgerError
from tasks.ledger.statement import PAYLOAD_TYPE, moment_of
from tasks.ledger.trust import Trust
from tasks.ledger.view import LogView
from tasks.ledger.witness import Witness
from tasks.store.protocol import ObjectStore

PREDICATE_TYPE = "https://proofhouse.dev/night/v1"
SUBJECT_NAME = "proofhouse:night"
STARTS = "night-starts/"
PLACES = "night-places/"


class Opened(NamedTuple):
    """A night that is worked on: its name, when it began, how many entries the log had then."""

    name: str
    started: datetime
    after: int


def open_night(day: date, store: ObjectStore, trust: Trust) -> Opened:
    """Returns the night of a day that is to be worked on.

    The one that was begun and is not over, else a new one.

    Raises:
        EvidenceError: A night of this day does not verify.
    """
    number = 1
    while read_night(name := f"{day:%Y-%m-%d}-{number:02d}", store, trust) is not None:
        number += 1
    begun = _fixed(STARTS + name, rfc3339(datetime.now(UTC)).encode(), store)
    size = _fixed(PLACES + name, b"%d" % LogView(store, trust).size(), store)
    started = moment_of(begun.decode(errors="replace"), place=STARTS + name)
    return Opened(name, started, read_index(size, place=PLACES + name))


def seal_night(
    night: Night,
    *,
    store: ObjectStore,
    signer: Signer,
    trust: Trust,
    witness: Witness | None = None,
) -> Sealed:
    """Signs, claims and logs a night. Of two records of one night the first is kept; repeatable.

    Raises:
        EvidenceError: The log does not verify.
        StoreError: The store failed; sealing again resumes.
    """
    if store.claimed(NIGHTS + night.night) is None:
        envelope = sign_envelope(write_night(night), payload_type=PAYLOAD_TYPE, signer=signer)
        store.claim(NIGHTS + night.night, store.put(envelope).digest.encode())
    digest, night = _claimed(night.night, store, trust)
    log = Log(store, signer, trust=trust, witness=witness)
    return Sealed(statement=digest, ledger_index=log.append(_entry(night, digest)))


def read_night(name: str, store: ObjectStore, trust: Trust) -> Night | None:
    """Returns a night that is over, verified; None when it is not.

    Raises:
        EvidenceError: Something else is claimed or signed under its name.
    """
    found = night_statement(name, store, trust)
    return found[1] if found else None


def night_statement(name: str, store: ObjectStore, trust: Trust) -> tuple[Digest, Night] | None:
    """Returns the same with the digest of its signed statement.

    Raises:
        EvidenceError: Something else is claimed or signed under its name.
    """
    if store.claimed(NIGHTS + name) is None:
        return None
    digest, night = _claimed(name, store, trust)
    logged = store.claimed(leaf_name(_entry(night, digest).leaf)) is not None
    return (digest, night) if logged else None


def nights(store: ObjectStore) -> tuple[str, ...]:
    """Returns the names of all nights that were signed, the earliest first."""
    return tuple(name.removeprefix(NIGHTS) for name in store.claims(NIGHTS))


def night_problems(store: ObjectStore, trust: Trust) -> Iterator[str]:
    """Yields what is wrong with any night; none raises."""
    for name in nights(store):
        try:
            _claimed(name, store, trust)
        except ProofhouseError as error:
            yield error.message


def write_night(night: Night) -> bytes:
    """Returns the canonical JSON of the statement about a night."""
    subjects = {SUBJECT_NAME: digest_of(night.canonical())}
    return write_about(night, subjects, predicate_type=PREDICATE_TYPE)


def _fixed(name: str, data: bytes, store: ObjectStore) -> bytes:
    """Claims a name, and returns what was claimed first."""
    store.claim(name, data)
    claimed = store.claimed(name)
    if claimed is None:
        raise LedgerError(f"{name} was claimed and is gone: the store forgets claims")
    return claimed


def _parsed(payload: bytes, *, place: str) -> Night:
    return read_about(payload, Night, write_night, what="night", place=place)


def _claimed(name: str, store: ObjectStore, trust: Trust) -> tuple[Digest, Night]:
    claim = NIGHTS + name
    digest = claimed_statement(claim, store)
    opened = opened_statement(claim, digest, store, trust, _moment)
    night = _parsed(opened.payload, place=place_of(claim, digest))
    if night.night != name:
        raise LedgerError(f"{claim} leads to {night.night}")
    return digest, night


def _moment(payload: bytes) -> Moment:
    return Moment(moment_of(_parsed(payload, place="the night").ended, place="the night"))


def _entry(night: Night, statement: Digest) -> Entry:
    return Entry(kind="night", name=night.night, statement=statement, dated=night.ended)
