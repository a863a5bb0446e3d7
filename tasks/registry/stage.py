"""Registering as a Prefect task: what was accepted is signed and entered, then announced."""

import logging

from prefect import task

from tasks.registry.mirrors import show
from tasks.registry.place import RegistryPlace
from tasks.registry.registering import Why, register
from tasks.runtime import services

_log = logging.getLogger(__name__)


@task(name="register", task_run_name="register", retries=2, retry_delay_seconds=1)
def enter_registry(run: str) -> str:
    """Registers the model of an accepted run as candidate; passes the run on. Repeatable."""
    return enter_registry_here(run)


def enter_registry_here(run: str) -> str:
    """Does the same in this process, without Prefect."""
    here = services()
    registry = RegistryPlace.here(here.settings)._replace(store=here.store)
    state = register(run, registry, Why(f"{run} let it in", by="proofhouse"))
    if state is not None:
        show(state, registry)
    return run
