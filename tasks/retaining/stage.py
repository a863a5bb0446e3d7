"""Housekeeping as Prefect tasks: verify all evidence, sweep leftovers, forget old flow runs."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

from tasks.alarms.stage import raise_alarm_of_verification
from tasks.domain.errors import EvidenceError
from tasks.ledger.keys import trusted_keys
from tasks.ledger.verify import verify_all
from tasks.ledger.witness import Witness
from tasks.retaining.sweeping import sweep
from tasks.runtime import services

_log = logging.getLogger(__name__)
_FINAL = [StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED]
_PAGE = 100


@task(name="verify-everything", retries=2, retry_delay_seconds=5)
def verify_everything() -> dict[str, Any]:
    """Verifies every run, the log, promotions, approvals and nights; fails when one does not.

    Raises:
        EvidenceError: Something does not verify; the message names it.
    """
    here = services()
    home = here.settings.home.resolve()
    found = verify_all(here.store, trusted_keys(home), Witness(home))
    bad = [*found.problems, *(f"{run.run}: {p}" for run in found.runs for p in run.problems)]
    _show(found.ledger_size, len(found.runs), bad, len(found.garbage))
    if not found.ok:
        raise_alarm_of_verification(bad)
        raise EvidenceError(f"{len(bad)} things do not verify: {'; '.join(bad)[:3000]}")
    return {
        "runs": len(found.runs),
        "ledger_size": found.ledger_size,
        "notes": list(found.notes),
        "unreferenced_objects": len(found.garbage),
    }


@task(name="sweep", retries=1)
def sweep_leftovers(days: float, reports_days: float) -> dict[str, Any]:
    """Removes leftovers of dead runs and old laid-out reports; says how much."""
    home = services().settings.home.resolve()
    return dict(sweep(home, days=days, reports_days=reports_days)._asdict())


@task(name="forget-flow-runs", retries=2, retry_delay_seconds=5)
def forget_flow_runs(days: float) -> int:
    """Removes flow runs that ended longer ago from the Prefect server; returns how many.

    What they found stays: evidence never lay there.
    """
    before = FlowRunFilter(
        end_time=FlowRunFilterEndTime(before_=datetime.now(UTC) - timedelta(days=days)),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_FINAL)),
    )
    forgotten = 0
    with get_client(sync_client=True) as client:
        while page := client.read_flow_runs(flow_run_filter=before, limit=_PAGE):
            for run in page:
                client.delete_flow_run(run.id)
            forgotten += len(page)
    return forgotten


def _show(ledger: int, runs: int, bad: list[str], garbage: int) -> None:
    told = [f"{runs} runs, {ledger} log entries, {garbage} objects that no run refers to.", ""]
    told += [f"- {problem[:500]}" for problem in bad[:50]] or ["Everything verifies."]
    try:
        create_markdown_artifact("\n".join(told), key="evidence", description="All evidence")
    except Exception as error:  # noqa: BLE001 - a server that is gone must not undo the check
        _log.warning("the Prefect UI does not show the verification: %s", error)
