"""Drift: what the model meets now against what it was judged on, to a signed verdict."""

from typing import Any

from prefect import flow

from tasks import clock
from tasks.alarms.stage import raise_alarm_of_drift
from tasks.checks.stage import measure_plan
from tasks.drifting import plan_drift
from tasks.forms import CurrentTable, ReferenceTable, TableRoles
from tasks.intake.stage import take_in_comparison
from tasks.ledger.stage import seal
from tasks.onboarding import judge_run, make_record
from tasks.reports.stage import announce, write_report
from tasks.runtime import start_workers, task_runner


@flow(name="watch-drift", flow_run_name="drift of {current}", task_runner=task_runner())
def watch_drift(
    reference: ReferenceTable, current: CurrentTable, roles: TableRoles | None = None
) -> dict[str, Any]:
    """Counts both tables, adds the night to its series, compares, judges and seals.

    Args:
        reference: A data file, a folder of them, or the digest of a kept sketch.
        current: A data file, or a folder of them.
        roles: Which columns are labels and predictions, and the name of the series.
    """
    started = clock.now()
    start_workers()
    roles = roles or TableRoles()
    subject, asset = take_in_comparison(reference, current, roles), roles.model
    planned = plan_drift(subject)
    if planned.sealed:
        raise_alarm_of_drift(planned.plan.run, asset)
        return announce(planned.plan.run)

    executions = measure_plan(planned.plan, subject)
    findings, decision = judge_run(planned.plan, executions)
    report = write_report(planned.plan, executions, findings, decision)
    seal(make_record(planned.plan, executions, findings, decision, started=started, report=report))
    raise_alarm_of_drift(planned.plan.run, asset)
    return announce(planned.plan.run)
