"""Intake as a Prefect task."""

import tempfile
from pathlib import Path

from prefect import task

from tasks.domain.digest import Digest
from tasks.intake.subject import build_subject
from tasks.intake.trust import trust_files
from tasks.runtime import services


@task(name="intake", task_run_name="intake")
def take_in(bundle: str) -> Digest:
    """Quarantines and describes the bundle at a path; returns the digest of its subject."""
    return take_in_here(Path(bundle))


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
            trusted_keys=trust_files(home / "vendors"),
            advisories=Path(here.settings.advisories) if here.settings.advisories else None,
        )
    return here.store.put(subject.canonical()).digest
