"""Sealing as a Prefect task: the record is fixed once, then signed, logged and recorded."""

from prefect import task

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.run import RunRecord
from tasks.inventory.database import Inventory
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.seal import Sealed, seal_run
from tasks.ledger.witness import Witness
from tasks.runtime import services


@task(name="seal", task_run_name="seal", retries=2, retry_delay_seconds=1)
def seal(record: str) -> dict[str, str | int]:
    """Seals the record of a digest; returns the statement's digest and its ledger index."""
    return seal_here(record)


def seal_here(digest: str) -> dict[str, str | int]:
    """Does the same in this process, without Prefect. Safe to repeat at any point."""
    here = services()
    candidate = RunRecord.parse(here.store.get(Digest(digest)))
    record = fixed_record(candidate)
    home = here.settings.home.resolve()
    signer = open_signer(here.settings.signer or None, home=home)
    subject = Subject.parse(here.store.get(record.subject))
    sealed: Sealed = seal_run(
        record,
        store=here.store,
        signer=signer,
        files=subject.files,
        trust=trusted_keys(home),
        witness=Witness(home),
    )
    inventory = Inventory(here.settings.database_url)
    inventory.record_run(record, statement=sealed.statement, ledger_index=sealed.ledger_index)
    return {"statement": sealed.statement, "ledger_index": sealed.ledger_index}


def fixed_record(candidate: RunRecord) -> RunRecord:
    """Returns the one record of this run: the first that was ever fixed, here or elsewhere.

    A run that was killed between signing and sealing must not sign a second, slightly different
    record (durations differ), so the record is claimed before anything is signed.
    """
    store = services().store
    name = f"records/{candidate.run}"
    store.claim(name, store.put(candidate.canonical()).digest.encode())
    fixed = store.claimed(name)
    return candidate if fixed is None else RunRecord.parse(store.get(Digest(fixed.decode())))
