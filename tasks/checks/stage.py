"""Checks as Prefect tasks on Dask workers."""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

from dask.base import annotate
from distributed import get_worker, worker_client
from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture, as_completed

from tasks import progress
from tasks.catalog.reading import Catalog
from tasks.checks.lab import Spread
from tasks.checks.running import (
    keep_measurement,
    known_measurement,
    run_check,
    run_part,
    unmeasured,
)
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.execution import Execution
from tasks.domain.measurement import Status
from tasks.domain.spec import CheckSpec, RunPlan
from tasks.onboarding import blocked_reason
from tasks.planning import waves
from tasks.runtime import services

_log = logging.getLogger(__name__)


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


def measure_plan(plan: RunPlan, subject: Digest) -> list[Execution]:
    """Runs every check of a plan on the flow's task runner; returns them in the plan's order.

    The gatekeepers run one by one, and what opens the model waits for them: a model whose bytes
    the scan refuses is never opened. Checks that open no model run beside the gatekeepers. A check
    whose worker is lost for good becomes an error measurement; the others go on.
    """
    apart, gatekeepers, opening = waves(plan, Catalog())
    crew = Crew(subject, total=len(plan.checks))
    begun = Begun()
    gates: list[Execution] = []
    for spec in gatekeepers:
        gate = crew.begin([spec], blocked=blocked_reason(gates), first=True)
        if spec is gatekeepers[0]:
            begun = crew.begin(apart)
        gates += crew.finish(gate)
    rest = crew.begin(opening, blocked=blocked_reason(gates))
    done = gates + crew.finish(begun.joined(rest))
    order = {spec.digest: index for index, spec in enumerate(plan.checks)}
    return sorted(done, key=lambda execution: order[execution.spec])


class Begun(NamedTuple):
    """Checks under way: those measured before, and those whose future is waited for."""

    known: tuple[CheckSpec, ...] = ()
    waiting: Mapping[PrefectFuture[Any], CheckSpec] = {}

    def joined(self, other: "Begun") -> "Begun":
        """Returns both as one."""
        return Begun(self.known + other.known, {**self.waiting, **other.waiting})


class Crew:
    """Sends checks of one subject to the workers and tells how far they are."""

    def __init__(self, subject: Digest, *, total: int) -> None:
        self._subject = subject
        self._board = Board(total)

    def begin(self, specs: Sequence[CheckSpec], *, blocked: str = "", first: bool = False) -> Begun:
        """Submits what was never measured; ``first`` puts it before all that waits already."""
        store = services().store
        known = tuple(spec for spec in specs if known_measurement(spec, store) is not None)
        with annotate(priority=int(first)):
            waiting = {
                _named(spec).submit(spec.model_dump(mode="json"), self._subject, blocked): spec
                for spec in specs
                if spec not in known
            }
        return Begun(known, waiting)

    def finish(self, begun: Begun) -> list[Execution]:
        """Waits for checks, in the order in which they end; those known are looked up here."""
        tell = self._board.told
        done = [tell(_inline(spec, self._subject)) for spec in begun.known]
        return done + [
            tell(_result(future, begun.waiting[future]))
            for future in as_completed([*begun.waiting])
        ]


def _named(spec: CheckSpec) -> Any:
    return measure.with_options(task_run_name=spec.check)


def _inline(spec: CheckSpec, subject: Digest) -> Execution:
    named = measure.with_options(task_run_name=f"{spec.check} (known)")
    return Execution.model_validate(named(spec.model_dump(mode="json"), subject, ""))


def _result(future: PrefectFuture[Any], spec: CheckSpec) -> Execution:
    try:
        return Execution.model_validate(future.result())
    except Exception as error:  # noqa: BLE001 - lost workers and crashed tasks come in many classes
        _log.warning("check %s was lost: %s", spec.check, error)
        entry = Catalog().check(spec.check)
        lost = unmeasured(entry, Status.ERROR, f"worker lost: {type(error).__name__}: {error}")
        return Execution(
            check=spec.check,
            spec=spec.digest,
            measurement=keep_measurement(spec, lost, services().store),
            seconds=0.0,
            reused=False,
            sandbox=spec.sandbox,
        )


class Board:
    """Tells the operator and the Prefect UI how many checks are done."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._shown = self._try(create_progress_artifact, 0.0, description="checks done")

    def told(self, execution: Execution) -> Execution:
        """Counts one check and passes it on."""
        self._done += 1
        how = "known" if execution.reused else f"{execution.seconds:.1f} s"
        progress.tell(self._done, self._total, f"{execution.check} ({how})")
        if self._shown is not None:
            self._try(update_progress_artifact, self._shown, 100 * self._done / self._total)
        return execution

    def _try(self, call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        try:
            return call(*arguments, **more)
        except Exception as error:  # noqa: BLE001 - the UI is a convenience, the run is not
            _log.warning("the Prefect UI shows no progress: %s", error)
            return None
