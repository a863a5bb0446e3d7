"""Sealing a run: sign, log, claim. Every step is claimed before the next, so a crash resumes.

Order: envelope stored → ``statements/<run>`` fixes which envelope → log entry and checkpoint →
``runs/<run>``. A run is done when ``runs/<run>`` exists.
"""

from collections.abc import Iterable

from securesystemslib.signer import Signer

from tasks.domain.bundle import FileEntry
from tasks.domain.digest import Digest
from tasks.domain.errors import EvidenceError, SigningError
from tasks.domain.run import RunRecord
from tasks.ledger.entry import RUNS, STATEMENTS, Entry, Sealed, read_digest, read_sealed
from tasks.ledger.envelope import read_envelope, sign_envelope, verify_envelope
from tasks.ledger.log import Log
from tasks.ledger.rejections import LedgerError
from tasks.ledger.statement import (
    PAYLOAD_TYPE,
    moment_of,
    read_statement,
    statement_moment,
    write_statement,
)
from tasks.ledger.trust import Trust
from tasks.ledger.view import read_capped, scratch_folder
from tasks.ledger.witness import Witness
from tasks.store.protocol import ObjectStore

__all__ = ["Sealed", "reconcile", "seal_run", "sealed_run"]


def seal_run(
    record: RunRecord,
    *,
    store: ObjectStore,
    signer: Signer,
    files: Iterable[FileEntry] = (),
    trust: Trust | None = None,
    witness: Witness | None = None,
) -> Sealed:
    """Signs ``record``, appends it to the log and declares the run done. First wins; repeatable.

    Args:
        record: The run. Of two records of one run, the first that was signed is kept.
        store: Holds every object that the record names, and the log.
        signer: Signs statement and checkpoint.
        files: The files of the bundle, as further subjects of the statement.
        trust: Keys that an interrupted earlier attempt, or the head of the log, may have been
            signed by; the signer's own when None (the head is then not verified).
        witness: Refuses to continue a log that was rolled back or forked.

    Raises:
        SigningError: The key does not sign; nothing claims success.
        EvidenceError: The log or an earlier attempt does not verify.
        StoreError: The store failed; sealing again resumes.
    """
    done = _claimed(store, record.run)
    if done is not None:
        return done
    if trust is not None:
        _verify_will_count(signer.public_key.keyid, record, trust)
    kept, statement = _fixed_statement(record, files, store, signer, trust)
    log = Log(store, signer, trust=trust, witness=witness)
    return _finish(kept, statement, store, log)


def sealed_run(store: ObjectStore, run: str) -> tuple[RunRecord, Sealed] | None:
    """Returns the record of a sealed run and where its evidence lies, or None. Verifies nothing.

    Raises:
        EvidenceError: What is claimed or stored cannot be read as evidence of this run.
        StoreError: The store failed, or the statement is missing or corrupt.
    """
    sealed = _claimed(store, run)
    if sealed is None:
        return None
    place = f"{sealed.statement} (statement of {run})"
    with scratch_folder() as scratch:
        data = read_capped(store, sealed.statement, scratch=scratch)
    envelope = read_envelope(data, payload_type=PAYLOAD_TYPE, place=place)
    record = read_statement(envelope.payload, place=place).record
    if record.run != run:
        raise LedgerError(f"{RUNS}{run} leads to the statement of {record.run}")
    return record, sealed


def reconcile(
    store: ObjectStore,
    signer: Signer,
    *,
    trust: Trust | None = None,
    witness: Witness | None = None,
) -> tuple[str, ...]:
    """Finishes every run that was signed but not declared done; returns their ids.

    Safe to run at any time and beside other writers: nothing is appended twice.
    """
    log = Log(store, signer, trust=trust, witness=witness)
    log.reconcile()
    done = {name.removeprefix(RUNS) for name in store.claims(RUNS)}
    waiting = [name.removeprefix(STATEMENTS) for name in store.claims(STATEMENTS)]
    healed = tuple(run for run in waiting if run not in done)
    for run in healed:
        record, statement = _earlier(run, store, trust or Trust([signer.public_key]))
        _finish(record, statement, store, log)
    return healed


def _finish(record: RunRecord, statement: Digest, store: ObjectStore, log: Log) -> Sealed:
    index = log.append(Entry.of(record, statement))
    sealed = Sealed(statement=statement, ledger_index=index)
    if store.claim(RUNS + record.run, sealed.canonical()):
        return sealed
    winner = _claimed(store, record.run)
    if winner is None:
        raise LedgerError(f"{RUNS}{record.run} was claimed and is gone: the store forgets claims")
    return winner


def _fixed_statement(
    record: RunRecord,
    files: Iterable[FileEntry],
    store: ObjectStore,
    signer: Signer,
    trust: Trust | None,
) -> tuple[RunRecord, Digest]:
    """Returns the one statement of this run and its record: ours, or an earlier attempt's.

    Signatures of some keys differ each time; without this claim a crash after the append would
    put the same run into the log twice.
    """
    name = STATEMENTS + record.run
    if store.claimed(name) is None:
        payload = write_statement(record, files=files)
        envelope = sign_envelope(payload, payload_type=PAYLOAD_TYPE, signer=signer)
        digest = store.put(envelope).digest
        if store.claim(name, digest.encode()):
            return record, digest
    return _earlier(record.run, store, trust or Trust([signer.public_key]))


def _earlier(run: str, store: ObjectStore, trust: Trust) -> tuple[RunRecord, Digest]:
    name = STATEMENTS + run
    claimed = store.claimed(name)
    if claimed is None:
        raise LedgerError(f"{name} was claimed and is gone: the store forgets claims")
    digest = read_digest(claimed, place=name)
    place = f"{digest} ({name})"
    with scratch_folder() as scratch:
        data = read_capped(store, digest, scratch=scratch)
    opened = verify_envelope(
        data, payload_type=PAYLOAD_TYPE, trust=trust, dated=statement_moment, place=place
    )
    record = read_statement(opened.payload, place=place).record
    if record.run != run:
        raise LedgerError(f"{name} leads to the statement of {record.run}")
    return record, digest


def _verify_will_count(keyid: str, record: RunRecord, trust: Trust) -> None:
    """Refuses to sign with a key whose signature would not verify afterwards."""
    if trust.key(keyid) is None:
        raise SigningError(
            f"The signing key {keyid} is not trusted here, so what it seals would not verify. Copy "
            "its public half (PEM) into keys/trusted of this home, then run again."
        )
    try:
        moment = moment_of(record.sealed, place=f"the record of {record.run}")
        trust.verify_standing(keyid, signed=moment, place=f"the record of {record.run}")
    except EvidenceError as error:
        raise SigningError(
            f"The signing key may not sign: {error.message}. Set PROOFHOUSE_SIGNER to a key in "
            "force, or mend keys/trusted/trust.json."
        ) from error


def _claimed(store: ObjectStore, run: str) -> Sealed | None:
    data = store.claimed(RUNS + run)
    return None if data is None else read_sealed(data, place=RUNS + run)
