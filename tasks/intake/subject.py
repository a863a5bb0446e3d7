"""From a bundle on disk to a :class:`Subject`: everything the checks may know of it."""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.domain.bundle import Subject
from tasks.domain.measurement import Observation
from tasks.domain.vendor import VendorView
from tasks.intake.answers import questionnaire_observations, review
from tasks.intake.artifact import read_facts
from tasks.intake.dataset_manifest import decoded_rows, manifest_observations
from tasks.intake.datasets import decode, same_data
from tasks.intake.manifest import read_bundle
from tasks.intake.provenance import Papers
from tasks.intake.quarantine import QUOTAS, Quotas
from tasks.intake.questionnaire import read_questionnaire
from tasks.intake.signature import read_trusted, signer_of
from tasks.intake.trust import TrustedKeys
from tasks.intake.vouching import vendor_observations
from tasks.sandbox.protocol import Sandbox
from tasks.store.protocol import ObjectStore

UNREADABLE = "provenance.questionnaire.unreadable"


def build_subject(
    bundle_path: Path,
    *,
    store: ObjectStore,
    sandbox: Sandbox,
    workspace: Path,
    quotas: Quotas = QUOTAS,
    trusted_keys: Sequence[Path] = (),
    advisories: Path | None = None,
    now: dt.datetime | None = None,
    register: Callable[[str], VendorView] = lambda _: VendorView(),
) -> Subject:
    """Takes a bundle in and describes it.

    Equal bytes, keys, advisories and standing of the vendor give equal subjects.

    Args:
        bundle_path: A bundle folder, its ``bundle.yaml``, or an archive of it.
        store: Where the files and decoded data go, by digest.
        sandbox: Opens data files; nothing of the bundle is opened outside it but text.
        workspace: Scratch space; everything put there is removed again.
        quotas: How much a bundle may be.
        trusted_keys: Files of the operator's trust (see ``trust``): whose signatures count.
        advisories: A file, folder or zip of OSV JSON; without it no vulnerability can be known.
        now: When certificates must be valid and advisories recent; the present by default.
        register: Tells how a vendor stands, by its name.

    Raises:
        InvalidInputError: The bundle cannot be used; the message says what, where and how to mend.
        StoreError: The disk or the store failed.
        SigningError: A trusted key is not a key.
        SettingsError: There are no advisories where they should be.
    """
    trusted = read_trusted(trusted_keys)
    bundle = read_bundle(Path(bundle_path), store, workspace=workspace, quotas=quotas)
    decoded = decode(bundle.spec, bundle.files, store, sandbox, workspace)
    observations = [*bundle.observations]
    for item in decoded:
        observations += item.observations
    observations += same_data(decoded)
    artifact = bundle.spec.model.artifact
    entry = next((file for file in bundle.files if file.path == artifact), None)
    facts = read_facts(entry, store, sandbox, workspace)
    papers = Papers(bundle.spec, bundle.files, store, facts, workspace).read(
        trusted, advisories=advisories, now=now
    )
    vendor = bundle.spec.vendor.name
    signer = signer_of(bundle.spec, bundle.files, store, trusted)
    observations += vendor_observations(vendor, signer, register(vendor))
    subject = Subject(
        spec=bundle.spec,
        files=bundle.files,
        datasets=tuple(item.dataset for item in decoded),
        observations=(*observations, *papers.observations),
        answers=papers.answers,
        facts=facts.known(),
    )
    signed_rows = _signed_rows(subject, store, trusted, now or dt.datetime.now(dt.UTC))
    return subject.model_copy(
        update={"observations": (*subject.observations, *signed_rows, *_questioned(subject))}
    )


def _signed_rows(
    subject: Subject, store: ObjectStore, trusted: TrustedKeys, now: dt.datetime
) -> tuple[Observation, ...]:
    """Holds the decoded rows against a signed manifest of them, where one came."""
    path = subject.spec.documents.dataset_manifest
    file = subject.file(path) if path else None
    if file is None:
        return ()
    rows = decoded_rows(subject, store.get)
    return tuple(
        manifest_observations(
            store.get(file.digest), subject, rows, trusted, path=file.path, today=now.date()
        )
    )


def _questioned(subject: Subject) -> tuple[Observation, ...]:
    """Holds the answers against the subject, once everything else of it is known."""
    path = subject.spec.documents.questionnaire
    if path is None or any(item.rule == UNREADABLE for item in subject.observations):
        return ()
    reviewed = review(read_questionnaire(), subject)
    return tuple(questionnaire_observations(reviewed, path))
