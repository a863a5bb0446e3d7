"""Checks as Prefect tasks on Dask workers."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.futures import PrefectFuture, as_completed

from tasks import progress
from tasks.catalog.reading import Catalog
from tasks.checks.running import keep_measurement, known_measurement, run_check, unmeasured
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.execution import Execution
from tasks.domain.measurement import Status
from tasks.domain.spec import CheckSpec
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
        blocked=blocked,
    )
    return execution.model_dump(mode="json")


def measure_all(specs: Sequence[CheckSpec], subject: Digest, blocked: str = "") -> list[Execution]:
    """Runs checks on the flow's task runner, those already measured in this process.

    A check whose worker is lost for good becomes an error measurement; the others go on.
    """
    store = services().store
    known = [spec for spec in specs if known_measurement(spec, store) is not None]
    waiting = {
        _named(spec).submit(spec.model_dump(mode="json"), subject, blocked): spec
        for spec in specs
        if spec not in known
    }
    board = Board(len(specs))
    done = [board.told(_inline(spec, subject)) for spec in known]
    done += [board.told(_result(future, waiting[future])) for future in as_completed([*waiting])]
    order = {spec.digest: index for index, spec in enumerate(specs)}
    return sorted(done, key=lambda execution: order[execution.spec])


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
