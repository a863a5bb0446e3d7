"""Responses as Prefect tasks on Dask workers."""

import tempfile
from pathlib import Path
from typing import Any

from prefect import task

from tasks.checks.lab import Lab
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.response.private_retraining import keep, retrain
from tasks.runtime import services


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
