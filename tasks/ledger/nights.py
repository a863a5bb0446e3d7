"""Nights as evidence: a signed statement about what became of every live asset, claimed and logged.

``night-starts/<night>`` says when a night began; ``nights/<night>`` fixes its envelope. A night is
over once the log lists that. Whoever begins while one is open goes on with the same one, so a night
that was killed is resumed and not begun anew.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from pydantic import ValidationError
from securesystemslib.signer import Signer

from tasks.domain.digest import Digest, digest_of, hexadecimal
from tasks.domain.errors import ProofhouseError
from tasks.domain.frozen import canonical_json
from tasks.domain.night import Night
from tasks.ledger.entry import NIGHTS, Entry, Sealed, leaf_name, read_digest
from tasks.ledger.envelope import Moment, sign_envelope, verify_envelope
from tasks.ledger.log import Log
from tasks.ledger.rejections import LedgerError, WrongStatementError
from tasks.ledger.statement import PAYLOAD_TYPE, STATEMENT_TYPE, moment_of
from tasks.ledger.strict_json import parse_canonical
from tasks.ledger.trust import Trust
from tasks.ledger.view import read_capped, scratch_folder
from tasks.ledger.witness import Witness
from tasks.store.protocol import ObjectStore

PREDICATE_TYPE = "https://proofhouse.dev/night/v1"
SUBJECT_NAME = "proofhouse:night"
STARTS = "night-starts/"


def open_night(day: date, store: ObjectStore, trust: Trust) -> tuple[str, datetime]:
    """Returns the night of a day that is to be worked on, and when it began.

    The one that was begun and is not over, else a new one.

    Raises:
        EvidenceError: A night of this day does not verify.
    """
    number = 1
    while read_night(name := f"{day:%Y-%m-%d}-{number:02d}", store, trust) is not None:
        number += 1
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    store.claim(STARTS + name, now.encode())
    begun = store.claimed(STARTS + name)
    if begun is None:
        raise LedgerError(f"{STARTS}{name} was claimed and is gone: the store forgets claims")
    return name, moment_of(begun.decode(errors="replace"), place=STARTS + name)


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
    told = night.model_dump(mode="json")
    subject = {
        "name": SUBJECT_NAME,
        "digest": {"sha256": hexadecimal(digest_of(canonical_json(told)))},
    }
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [subject],
            "predicateType": PREDICATE_TYPE,
            "predicate": told,
        }
    )


def _parsed(payload: bytes, *, place: str) -> Night:
    document = parse_canonical(payload, place=place)
    try:
        night = Night.model_validate_json(canonical_json(document["predicate"]))
    except (ValidationError, KeyError, TypeError) as error:
        raise WrongStatementError(f"{place} holds no night") from error
    if write_night(night) != payload:
        raise WrongStatementError(f"{place} is no statement about the night that it holds")
    return night


def _claimed(name: str, store: ObjectStore, trust: Trust) -> tuple[Digest, Night]:
    data = store.claimed(NIGHTS + name)
    if data is None:
        raise LedgerError(f"{NIGHTS}{name} was claimed and is gone: the store forgets claims")
    digest = read_digest(data, place=NIGHTS + name)
    place = f"{digest} ({NIGHTS}{name})"
    with scratch_folder() as scratch:
        envelope = read_capped(store, digest, scratch=scratch)
    opened = verify_envelope(
        envelope, payload_type=PAYLOAD_TYPE, trust=trust, dated=_moment, place=place
    )
    night = _parsed(opened.payload, place=place)
    if night.night != name:
        raise LedgerError(f"{NIGHTS}{name} leads to {night.night}")
    return digest, night


def _moment(payload: bytes) -> Moment:
    return Moment(moment_of(_parsed(payload, place="the night").ended, place="the night"))


def _entry(night: Night, statement: Digest) -> Entry:
    return Entry(kind="night", name=night.night, statement=statement, dated=night.ended)
