"""From a bundle on disk to a :class:`Subject`: everything the checks may know of it."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tasks.domain.bundle import Subject
from tasks.domain.measurement import Observation
from tasks.domain.vendor import VendorView
from tasks.intake.answers import questionnaire_observations, review
from tasks.intake.artifact import ArtifactFacts, read_facts
from tasks.intake.dataset_manifest import decoded_rows, manifest_observations
from tasks.intake.datasets import decode, same_data
from tasks.intake.filling import filled_in
from tasks.intake.manifest import read_bundle
from tasks.intake.provenance import Papers
from tasks.intake.quarantine import QUOTAS, Quotas
from tasks.intake.questionnaire import read_questionnaire
from tasks.intake.signature import read_trusted, signer_of
from tasks.intake.trust import TrustedKeys
from tasks.intake.vouching import FAMILY, vendor_observations
from tasks.sandbox.protocol import Sandbox
from tasks.store.protocol import ObjectStore

UNREADABLE = "provenance.questionnaire.unreadable"
_OF_PAPERS = ("provenance.", FAMILY)
_OF_BYTES = "provenance.manifest."


class Outside(NamedTuple):
    """What intake knows from elsewhere, and what may change while the bundle stays as it is."""

    trusted_keys: tuple[Path, ...] = ()
    """Files of the operator's trust (see ``trust``): whose signatures count."""
    advisories: Path | None = None
    """A file, folder or zip of OSV JSON; without it no vulnerability can be known."""
    now: dt.datetime | None = None
    """When certificates must be valid and advisories recent; the present by default."""
    register: Callable[[str], VendorView] = lambda _: VendorView()
    """Tells how a vendor stands, by its name."""


NOTHING = Outside()


def build_subject(
    bundle_path: Path,
    *,
    store: ObjectStore,
    sandbox: Sandbox,
    workspace: Path,
    quotas: Quotas = QUOTAS,
    outside: Outside = NOTHING,
) -> Subject:
    """Takes a bundle in and describes it.

    Equal bytes, keys, advisories and standing of the vendor give equal subjects.

    Args:
        bundle_path: A bundle folder, its ``bundle.yaml``, or an archive of it.
        store: Where the files and decoded data go, by digest.
        sandbox: Opens data files; nothing of the bundle is opened outside it but text.
        workspace: Scratch space; everything put there is removed again.
        quotas: How much a bundle may be.
        outside: What is known from elsewhere.

    Raises:
        InvalidInputError: The bundle cannot be used; the message says what, where and how to mend.
        StoreError: The disk or the store failed.
        SigningError: A trusted key is not a key.
        SettingsError: There are no advisories where they should be.
    """
    bundle = read_bundle(Path(bundle_path), store, workspace=workspace, quotas=quotas)
    decoded = decode(bundle.spec, bundle.files, store, sandbox, workspace)
    observations = [*bundle.observations]
    for item in decoded:
        observations += item.observations
    observations += same_data(decoded)
    artifact = bundle.spec.model.artifact
    entry = next((file for file in bundle.files if file.path == artifact), None)
    facts = read_facts(entry, store, sandbox, workspace)
    handed_in = Subject(
        spec=bundle.spec,
        files=bundle.files,
        datasets=tuple(item.dataset for item in decoded),
        observations=tuple(observations),
        facts=facts.known(),
    )
    return _with_papers(handed_in, outside, store, workspace)


def read_again(subject: Subject, outside: Outside, store: ObjectStore, workspace: Path) -> Subject:
    """Reads the papers of a kept bundle again, as they read today; nothing is handed in anew.

    What rests on the bundle's bytes alone (files, decoded data, facts of the artifact) is taken
    over. With the same world outside the same subject comes out.

    Raises:
        StoreError: The store failed.
        SigningError: A trusted key is not a key.
        SettingsError: There are no advisories where they should be.
    """
    of_bytes = tuple(item for item in subject.observations if not _is_of_papers(item))
    bare = {"observations": of_bytes, "answers": {}, "filled": {}, "filled_by": ""}
    again = _with_papers(subject.model_copy(update=bare), outside, store, workspace)
    return filled_in(again, subject.filled, subject.filled_by) if subject.filled else again


def _is_of_papers(item: Observation) -> bool:
    return item.rule.startswith(_OF_PAPERS) and not item.rule.startswith(_OF_BYTES)


def _with_papers(
    handed_in: Subject, outside: Outside, store: ObjectStore, workspace: Path
) -> Subject:
    """Adds what the papers say, and what speaks against them, to what the bytes say."""
    trusted = read_trusted(outside.trusted_keys)
    spec, now = handed_in.spec, outside.now or dt.datetime.now(dt.UTC)
    facts = ArtifactFacts.of(handed_in.facts)
    papers = Papers(spec, handed_in.files, store, facts, workspace).read(
        trusted, advisories=outside.advisories, now=now
    )
    signer = signer_of(spec, handed_in.files, store, trusted)
    vendor = vendor_observations(spec.vendor.name, signer, outside.register(spec.vendor.name))
    subject = handed_in.model_copy(
        update={
            "observations": (*handed_in.observations, *vendor, *papers.observations),
            "answers": papers.answers,
        }
    )
    signed_rows = _signed_rows(subject, store, trusted, now)
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
