"""A plan's checks given to Dask workers, in order and as places become free."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture, as_completed

from tasks import clock, progress
from tasks.catalog.reading import Catalog
from tasks.checks.running import keep_measurement, known_measurement, unmeasured
from tasks.checks.worker.stage import measure
from tasks.domain.digest import Digest
from tasks.domain.errors import StoreError
from tasks.domain.execution import Execution
from tasks.domain.measurement import Status
from tasks.domain.spec import CheckSpec, RunPlan
from tasks.onboarding import blocked_reason
from tasks.planning import waves
from tasks.runtime import services, worker_places

_log = logging.getLogger(__name__)


def measure_plan(plan: RunPlan, subject: Digest) -> list[Execution]:
    """Runs every check of a plan on the flow's task runner; returns them in the plan's order.

    The gatekeepers run one by one, and what opens the model waits for them: a model whose bytes
    the scan refuses is never opened. Checks that open no model run beside the gatekeepers. A check
    whose worker is lost for good becomes an error measurement; the others go on.
    """
    apart, gatekeepers, opening = waves(plan, Catalog())
    crew = Crew(subject, total=len(plan.checks))
    gates: list[Execution] = []
    if not gatekeepers:
        crew.ask(apart)
    for spec in gatekeepers:
        crew.ask_first(spec, blocked=blocked_reason(gates))
        if spec is gatekeepers[0]:
            crew.ask(apart)
        gates.append(crew.answer_of(spec))
    crew.ask(opening, blocked=blocked_reason(gates))
    return [crew.answer_of(spec) for spec in plan.checks]


class Crew:
    """Gives checks of one subject to the workers, in order, as places become free.

    A scheduler that gets all at once hands out the queue by number and not by length; the longest
    check could then start last.
    """

    def __init__(self, subject: Digest, *, total: int) -> None:
        self._subject = subject
        self._board = Board(total)
        self._places = worker_places()
        self._queue: deque[tuple[CheckSpec, str]] = deque()
        self._running: dict[PrefectFuture[Any], tuple[CheckSpec, datetime]] = {}
        self._done: dict[Digest, Execution] = {}

    def ask_first(self, spec: CheckSpec, *, blocked: str) -> None:
        """Puts one check before all that waits already."""
        self._queue.appendleft((spec, blocked))
        self._fill()

    def ask(self, specs: Sequence[CheckSpec], *, blocked: str = "") -> None:
        """Puts checks behind what waits already; those measured before are looked up here."""
        self._queue.extend((spec, blocked) for spec in specs)
        self._fill()

    def answer_of(self, spec: CheckSpec) -> Execution:
        """Waits for one check; meanwhile the others go on."""
        while spec.digest not in self._done:
            future = next(as_completed([*self._running]))
            ended, asked = self._running.pop(future)
            self._fill()
            self._note(ended, _timed(_result(future, ended), asked))
        return self._done[spec.digest]

    def _fill(self) -> None:
        store = services().store
        while self._queue and len(self._running) < self._places:
            spec, blocked = self._queue.popleft()
            if known_measurement(spec, store) is not None:
                self._note(spec, _inline(spec, self._subject))
            else:
                asked = spec.model_dump(mode="json"), self._subject, blocked
                self._running[_named(spec).submit(*asked)] = spec, clock.now()

    def _note(self, spec: CheckSpec, execution: Execution) -> None:
        self._done[spec.digest] = self._board.told(execution)


def _named(spec: CheckSpec) -> Any:
    return measure.with_options(task_run_name=spec.check)


def _inline(spec: CheckSpec, subject: Digest) -> Execution:
    named = measure.with_options(task_run_name=f"{spec.check} (known)")
    return Execution.model_validate(named(spec.model_dump(mode="json"), subject, ""))


def _timed(execution: Execution, asked: datetime) -> Execution:
    """Says how far the worker's clock disagrees with ours, if it does."""
    if not execution.clock:
        return execution
    apart = round(clock.apart_seconds(datetime.fromisoformat(execution.clock), since=asked))
    return execution.model_copy(update={"skew_seconds": apart})


def _result(future: PrefectFuture[Any], spec: CheckSpec) -> Execution:
    try:
        return Execution.model_validate(future.result())
    except StoreError:
        raise  # nothing about the model: the run is to be done again when there is room
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
            # A server that failed once is not asked again: each try may wait for minutes.
            share = 100 * self._done / self._total
            self._shown = self._try(update_progress_artifact, self._shown, share)
        return execution

    def _try(self, call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        try:
            return call(*arguments, **more)
        except Exception as error:  # noqa: BLE001 - the UI is a convenience, the run is not
            _log.warning("the Prefect UI shows no progress: %s", error)
            return None
