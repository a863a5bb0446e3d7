"""Sealing as a Prefect task: sign, log, claim, and record in the inventory."""

from prefect import task

from tasks.domain.bundle import Subject
from tasks.domain.digest import digest_of
from tasks.domain.frozen import canonical_json
from tasks.domain.run import RunRecord
from tasks.domain.spec import DRIFT
from tasks.domain.vendor import vendor_key
from tasks.intake.answers import review
from tasks.intake.bare_data import UNNAMED_VENDOR
from tasks.intake.questionnaire import read_questionnaire
from tasks.inventory.database import Inventory
from tasks.inventory.rows import Asset, VendorAnswers
from tasks.inventory.vendors import VendorRegister
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.seal import seal_run, sealed_run
from tasks.ledger.statement import moment_of
from tasks.ledger.witness import Witness
from tasks.runtime import services


@task(name="seal", task_run_name="seal", retries=2, retry_delay_seconds=1)
def seal(record: RunRecord) -> None:
    """Seals a record. Safe to repeat at any point: the first record of a run wins."""
    seal_here(record)


def seal_here(record: RunRecord) -> None:
    """Does the same in this process, without Prefect."""
    here = services()
    home = here.settings.home.resolve()
    subject = Subject.parse(here.store.get(record.subject))
    seal_run(
        record,
        store=here.store,
        signer=open_signer(here.settings.signer or None, home=home),
        files=subject.files,
        trust=trusted_keys(home),
        witness=Witness(home),
    )
    found = sealed_run(here.store, record.run)
    assert found is not None, "a run that was just sealed can be read"
    kept, sealed = found
    inventory = Inventory(here.settings.database_url)
    inventory.register_asset(_asset_of(subject))
    inventory.record_run(kept, statement=sealed.statement, ledger_index=sealed.ledger_index)
    _note_vendor(subject, kept)


def _asset_of(subject: Subject) -> Asset:
    """Returns the asset with what only the questionnaire tells of it."""
    told = subject.filled | subject.answers
    return Asset.of_bundle(subject.spec).model_copy(
        update={
            "sensitivity": str(told.get("use.data_sensitivity", "")),
            "last_retrained": str(told.get("training.last_trained", "")),
        }
    )


def _note_vendor(subject: Subject, record: RunRecord) -> None:
    """Enters the vendor and what it answered; data from nobody in particular has no vendor."""
    vendor = subject.spec.vendor
    if vendor.name == UNNAMED_VENDOR or record.plan.occasion == DRIFT:
        return
    now = moment_of(record.sealed, place=f"the record of {record.run}")
    register = VendorRegister(services().settings.database_url)
    register.register(vendor.name, contact=vendor.contact, who=f"onboarding {record.run}", now=now)
    if subject.answers or subject.filled:
        register.note_answers(_answers_of(subject, record))


def _answers_of(subject: Subject, record: RunRecord) -> VendorAnswers:
    reviewed = review(read_questionnaire(), subject)
    given = canonical_json(subject.filled | subject.answers)
    return VendorAnswers(
        digest=digest_of(given),
        vendor=vendor_key(subject.spec.vendor.name),
        questionnaire=f"{reviewed.questionnaire} version {reviewed.version}",
        score=reviewed.score,
        answered=reviewed.answered,
        asked=len(reviewed.rows),
        contradicted=len(reviewed.contradicted),
        run=record.run,
        dated=record.sealed,
    )
