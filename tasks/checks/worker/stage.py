"""One check, or a part of one, in the process where a Dask task lands.

Workers import this before their first task, so it imports no more than a check needs.
"""

import itertools
from collections import deque
from collections.abc import Generator
from typing import Any

from distributed import get_worker, worker_client
from prefect import task

import tasks.streams  # noqa: F401 - this process's own
from tasks.checks.lab import Spread
from tasks.checks.running import run_check, run_part
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.spec import CheckSpec
from tasks.runtime import services


@task(name="check")
def measure(spec: dict[str, Any], subject: str, blocked: str) -> dict[str, Any]:
    """Runs one check where this task lands; returns its execution as JSON values."""
    # A task travels by value, a plain function by reference: all work is behind the latter.
    return run_here(spec, subject, blocked)


def run_here(spec: dict[str, Any], subject: str, blocked: str) -> dict[str, Any]:
    """Runs the check of ``spec`` in this process, with this process's services."""
    here = services()
    execution = run_check(
        CheckSpec.model_validate(spec),
        Subject.parse(here.store.get(Digest(subject))),
        store=here.store,
        sandbox=here.sandbox,
        scratch=here.settings.home.resolve() / "scratch",
        limits=here.limits,
        terms=here.settings.terms,
        escrow=here.settings.escrow_folder,
        blocked=blocked,
        spread=spread_over_workers(spec, subject),
    )
    return execution.model_dump(mode="json")


def part_here(spec: dict[str, Any], subject: str, index: int) -> str:
    """Measures one part of a check in this process, with this process's services."""
    here = services()
    return run_part(
        CheckSpec.model_validate(spec),
        Subject.parse(here.store.get(Digest(subject))),
        index,
        store=here.store,
        sandbox=here.sandbox,
        scratch=here.settings.home.resolve() / "scratch",
        limits=here.limits,
        terms=here.settings.terms,
        escrow=here.settings.escrow_folder,
    )


def on_a_worker() -> bool:
    """Answers whether this code runs in a task of a Dask worker."""
    try:
        get_worker()
    except ValueError:
        return False
    return True


def spread_over_workers(spec: dict[str, Any], subject: str) -> Spread | None:
    """Returns how a check in this process has its parts measured by the cluster, if there is one.

    The check gives up its own place on the worker while it waits, so that parts can use it. A few
    parts are measured ahead; those that nobody asks for any more are cancelled.
    """
    if not on_a_worker():
        return None

    def spread(indices: range) -> Generator[Digest, None, None]:
        with worker_client() as client:
            ahead = 1 + len(client.scheduler_info(n_workers=-1)["workers"])
            waiting: deque[Any] = deque()
            rest = iter(indices)
            try:
                while True:
                    for index in itertools.islice(rest, ahead - len(waiting)):
                        asked = client.submit(part_here, spec, subject, index, pure=False)
                        waiting.append(asked)
                    if not waiting:
                        return
                    yield Digest(waiting.popleft().result())
            finally:
                client.cancel(list(waiting))

    return spread
