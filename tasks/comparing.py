"""What a new version is held against: the last accepted version of the same asset.

Only a version counts whose evidence verifies right now, whose last whole run accepted it, and that
nobody has withdrawn since: what is compared with a poisoned reference would look harmless.
"""

from pathlib import Path, PurePosixPath

from tasks.domain.bundle import LAST, PROFILE, Baseline, DataSpecs, FileEntry, Subject
from tasks.domain.digest import Digest
from tasks.domain.reference import ReferenceProfile
from tasks.domain.run import RunRecord
from tasks.intake.profiles import read_profile
from tasks.inventory.database import Inventory
from tasks.ledger.keys import trusted_keys
from tasks.ledger.seal import sealed_run
from tasks.ledger.verify import verify_run
from tasks.ledger.witness import Witness
from tasks.runtime import services

ROLES = ("training", "evaluation")


def held_against(subject: Digest, profile: Path | None = None) -> Digest:
    """Returns the subject with what it is held against; the same one when there is nothing.

    Args:
        subject: A bundle as it was taken in.
        profile: A file of ``proofhouse profile`` that the operator trusts.

    Raises:
        InvalidInputError: The profile cannot be read.
    """
    store = services().store
    described = Subject.parse(store.get(subject))
    baseline = _last_accepted(described)
    if profile is not None:
        baseline = _with_profile(baseline, read_profile(profile))
    if baseline == Baseline():
        return subject
    return store.put(described.model_copy(update={"baseline": baseline}).canonical()).digest


def _last_accepted(described: Subject) -> Baseline:
    if not (described.spec.data.training or described.spec.data.evaluation):
        return Baseline()
    here = services()
    inventory = Inventory(here.settings.database_url)
    for run in inventory.accepted_versions(described.spec.asset):
        asset = inventory.asset(run.asset)
        if asset is not None and asset.state == "withdrawn":
            continue
        record = _verified(run.run)
        if record is not None and (baseline := _baseline(record)) is not None:
            return baseline
    return Baseline()


def _verified(run: str) -> RunRecord | None:
    here = services()
    home = here.settings.home.resolve()
    if not verify_run(run, here.store, trusted_keys(home), Witness(home)).ok:
        return None
    found = sealed_run(here.store, run)
    return None if found is None else found[0]


def _baseline(record: RunRecord) -> Baseline | None:
    """Describes the data of an accepted version; None when it has none."""
    accepted = Subject.parse(services().store.get(record.subject))
    data = accepted.spec.data
    specs = {role: spec for role in ROLES if (spec := data.of(role)) is not None}
    files = tuple(
        FileEntry(
            path=f"{LAST}{role}{PurePosixPath(spec.path).suffix.lower()}",
            digest=entry.digest,
            size_bytes=entry.size_bytes,
        )
        for role, spec in specs.items()
        if (entry := accepted.file(spec.path)) is not None
    )
    if not files:
        return None
    return Baseline(asset=record.asset, run=record.run, data=DataSpecs(**specs), files=files)


def _with_profile(baseline: Baseline, profile: ReferenceProfile) -> Baseline:
    ref = services().store.put(profile.canonical())
    entry = FileEntry(path=PROFILE, digest=ref.digest, size_bytes=ref.size_bytes)
    return baseline.model_copy(update={"files": (*baseline.files, entry)})
