"""Intake as a Prefect task."""

import functools
import tempfile
from pathlib import Path

from prefect import task
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import create_model

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.forms import BareData, TableRoles
from tasks.intake.bare_data import UNNAMED_VENDOR, Named
from tasks.intake.filling import (
    answers_of,
    form_fields,
    keep_filled,
    kept_filled,
    open_questions,
)
from tasks.intake.questionnaire import read_questionnaire
from tasks.intake.subject import Outside, build_subject
from tasks.intake.trust import trust_files
from tasks.inventory.vendors import VendorRegister
from tasks.runtime import Services, services, worker_places

PATIENCE_SECONDS = 7 * 24 * 3600


@task(name="intake", task_run_name="intake")
def take_in(bundle: str) -> Digest:
    """Quarantines and describes the bundle at a path; returns the digest of its subject."""
    return take_in_here(Path(bundle))


def filled(subject: Digest, *, ask: bool) -> Digest:
    """Returns the subject with the answers that an operator filled in; waits for them if asked to.

    A run of a deployment is suspended and costs nothing until somebody resumes it with the form; a
    run of a command waits in its process.
    """
    store = services().store
    if (kept := kept_filled(subject, store)) is not None:
        return kept
    left = open_questions(read_questionnaire(), Subject.parse(store.get(subject)))
    if not ask or not left:
        return subject
    form = create_model("OpenAnswers", __base__=RunInput, **form_fields(left))
    if deployment.id:
        given = suspend_flow_run(wait_for_input=form, timeout=PATIENCE_SECONDS)
    else:
        given = pause_flow_run(wait_for_input=form, timeout=PATIENCE_SECONDS, poll_interval=2)
    assert given is not None, "a flow that waits for input goes on with it or not at all"
    answers, who = answers_of(left, given.model_dump())
    return keep_filled(subject, answers, who, store)


def compared(subject: Digest, profile: str | None = None) -> Digest:
    """Returns the subject with what it is held against: a profile, the last accepted version."""
    from tasks.comparing import held_against  # noqa: PLC0415 - it builds on this room

    return held_against(subject, Path(profile) if profile else None)


@task(name="intake", task_run_name="intake of data")
def take_in_dataset(data: str, bare: BareData) -> Digest:
    """Quarantines and describes data at a path; returns the digest of its subject."""
    from tasks.reviewing import take_in_data  # noqa: PLC0415 - it builds on this module

    named = Named(
        vendor=bare.vendor or UNNAMED_VENDOR,
        name=bare.name,
        inputs=bare.inputs,
        labels=bare.labels,
        reference=Path(bare.reference) if bare.reference else None,
    )
    return take_in_data(Path(data), named)


@task(name="count", task_run_name="count {number} files")
def count_files(files: list[str], cells: str, number: int) -> str:  # noqa: ARG001 - for the name
    """Counts files in the cells of a kept sketch where this task lands; returns a sketch."""
    from tasks.drifting import count_here  # noqa: PLC0415 - it builds on this room

    return count_here(tuple(Path(file) for file in files), Digest(cells))


@task(name="answer", task_run_name="answer both tables")
def answer_tables(reference: str, current: str, roles: TableRoles) -> list[str]:
    """Has an accepted model answer both tables where this task lands; returns their sketches."""
    from tasks.drifting import tables  # noqa: PLC0415 - as above

    return list(tables(reference, current, roles)[:3])


def take_in_comparison(reference: str, current: str, roles: TableRoles) -> Digest:
    """Has workers count both tables, adds the night to its series; returns the subject's digest.

    Files are shared out in as few groups as there are workers: a task of its own for each would
    cost more than counting it.
    """
    from tasks.drifting import Tables, summed, tables, take_in_tables  # noqa: PLC0415 - see above

    if roles.model:
        first, second, series = answer_tables.submit(reference, current, roles).result()
        return take_in_tables(Tables(Digest(first), Digest(second), series, roles.demands))

    def counted(files: tuple[Path, ...], cells: Digest) -> Digest:
        groups = [files[at :: worker_places()] for at in range(min(len(files), worker_places()))]
        pending = [
            count_files.submit([str(file.resolve()) for file in group], cells, len(group))
            for group in groups
        ]
        return summed(Digest(one.result()) for one in pending)

    return take_in_tables(tables(reference, current, roles, counted=counted))


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
            outside=outside_of(here),
        )
    return here.store.put(subject.canonical()).digest


def outside_of(here: Services) -> Outside:
    """Returns what this home knows of vendors, keys and vulnerabilities."""
    return Outside(
        trusted_keys=tuple(trust_files(here.settings.home.resolve() / "vendors")),
        advisories=Path(here.settings.advisories) if here.settings.advisories else None,
        register=functools.cache(VendorRegister(here.settings.database_url).view),
    )
