"""Intake as a Prefect task."""

import tempfile
from pathlib import Path

from prefect import task

from tasks.domain.digest import Digest
from tasks.forms import BareData
from tasks.intake.bare_data import UNNAMED_VENDOR, Named
from tasks.intake.subject import build_subject
from tasks.inventory.vendors import VendorRegister
from tasks.runtime import services


@task(name="intake", task_run_name="intake")
def take_in(bundle: str) -> Digest:
    """Quarantines and describes the bundle at a path; returns the digest of its subject."""
    return take_in_here(Path(bundle))


@task(name="intake", task_run_name="intake of data")
def take_in_dataset(data: str, bare: BareData) -> Digest:
    """Quarantines and describes data at a path; returns the digest of its subject."""
    from tasks.reviewing import take_in_data  # noqa: PLC0415 - it builds on this module

    named = Named(
        vendor=bare.vendor or UNNAMED_VENDOR,
        inputs=bare.inputs,
        labels=bare.labels,
        reference=Path(bare.reference) if bare.reference else None,
    )
    return take_in_data(Path(data), named)


def take_in_here(bundle: Path) -> Digest:
    """Does the same in this process, without Prefect."""
    here = services()
    home = here.settings.home.resolve()
    scratch = home / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="intake-") as workspace:
        subject = build_subject(
            bundle,
            store=here.store,
            sandbox=here.sandbox,
            workspace=Path(workspace),
            trusted_keys=tuple(sorted((home / "vendors").glob("*.pub"))),
            register=VendorRegister(here.settings.database_url).view,
        )
    return here.store.put(subject.canonical()).digest
