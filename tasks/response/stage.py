"""Responses as Prefect tasks on Dask workers."""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import Field, create_model

from tasks.casework import take_up, world_of
from tasks.checks.lab import Lab
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.incident import Incident
from tasks.forms import IncidentForm
from tasks.response.following import Following, alone, follow, tell
from tasks.response.private_retraining import keep, retrain
from tasks.response.telling import asked_of_people, case_document, case_lines
from tasks.runtime import services
from tasks.settings import read_settings

PATIENCE_SECONDS = 30 * 24 * 3600
NOTHING = "nothing yet"
"""In a form, the choice of no step."""


@task(name="retrain-privately", task_run_name="retrain privately")
def retrain_privately(
    subject: str, epsilons: list[float], max_gradient_norm: float, secure: bool
) -> dict[str, Any]:
    """Trains a subject's layers again under each budget; returns what was kept."""
    # A task travels by value, a plain function by reference: all work is behind the latter.
    return retrain_here(subject, epsilons, max_gradient_norm, secure)


def retrain_here(
    subject: str, epsilons: list[float], max_gradient_norm: float, secure: bool
) -> dict[str, Any]:
    """Does the same in this process, without Prefect."""
    here = services()
    scratch = here.settings.home.resolve() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="retrain-") as workspace:
        lab = Lab(
            subject=Subject.parse(here.store.get(Digest(subject))),
            store=here.store,
            sandbox=here.sandbox,
            workspace=Path(workspace),
            parameters={},
            seed=here.settings.seed,
            limits=here.limits,
        )
        with lab:
            trained = retrain(
                lab, epsilons=epsilons, max_gradient_norm=max_gradient_norm, secure=secure
            )
            return keep(lab, trained)


def follow_case(playbook: str, report: IncidentForm, *, dry_run: bool) -> dict[str, Any]:
    """Follows a playbook until it is closed; waits for people in between.

    Every turn shows the case as an artifact. A run of a deployment is suspended while it waits and
    starts again from its top: the case tells what was done, so nothing is done twice.
    """
    incident = Incident(schema_="proofhouse.incident/1", **report.model_dump())
    world = world_of(read_settings(), prefect_url=os.environ.get("PREFECT_API_URL", ""))
    work = take_up(playbook, incident, world, dry_run=dry_run)
    while True:
        with alone(world.home, work.name):
            state = follow(work, by="flow")
        document, told = case_document(work, state), "\n".join(case_lines(work, state))
        create_markdown_artifact(f"```\n{told}\n```", key=work.name, description=incident.title)
        waiting = [step.id for step in state.to_do() if step.kind == "manual"]
        if state.closed or not (waiting or state.unknown()):
            return document
        # Named after where the case stands: the answer given to this question is not taken for
        # the answer to the next one when the run starts again.
        form = _form_of(waiting).with_initial_data(description=asked_of_people(work, state))
        given = waited(form, key=f"{work.name}-{state.next_number}")
        with alone(world.home, work.name):
            _noted(work, given.model_dump())


def _form_of(waiting: list[str]) -> type[RunInput]:
    """Returns the form by which a person says what was done; only waiting steps can be chosen."""
    # A Literal of names that are known only now: no type checker can read it.
    done: Any = Literal[(NOTHING, *waiting)]
    who = Field(title="Your name", description="Kept in the timeline.", min_length=1)
    fields: dict[str, Any] = {
        "by": (Annotated[str, who], ...),
        "done": (done, Field(default=NOTHING, title="Step that was done")),
        "note": (str, Field(default="", title="What was done or found", max_length=4000)),
        "facts": (
            dict[str, bool | int | float | str],
            Field(
                default={},
                title="Facts",
                description='What is known now, by name: {"vendor_fault": true}. Since when you '
                'are aware: {"aware": "2026-01-31T07:05:00Z"}.',
            ),
        ),
    }
    return create_model("WhatWasDone", __base__=RunInput, **fields)


def waited(form: type[RunInput], *, key: str) -> RunInput:
    """Waits for a form: suspended when this run is of a deployment, else in this process."""
    if deployment.id:
        given = suspend_flow_run(wait_for_input=form, timeout=PATIENCE_SECONDS, key=key)
    else:
        given = pause_flow_run(
            wait_for_input=form, timeout=PATIENCE_SECONDS, poll_interval=2, key=key
        )
    assert given is not None, "a flow that waits for input goes on with it or not at all"
    return given


def _noted(work: Following, given: dict[str, Any]) -> None:
    if given["facts"]:
        detail = given["note"] or "said in a form"
        tell(work, by=given["by"], said=given["facts"], detail=detail)
    if given["done"] != NOTHING:
        tell(work, by=given["by"], step=given["done"], detail=given["note"] or "done")
