"""Repairing: the response to a hidden trigger, from a bundle to what each repair leaves of it."""

from typing import Any

from prefect import flow

from tasks import clock
from tasks.checks.stage import measure_plan
from tasks.domain.spec import ASSESSMENT
from tasks.forms import AssetOrBundle, TierChoice
from tasks.intake.stage import take_in
from tasks.ledger.stage import seal
from tasks.onboarding import judge_run, make_record, plan_onboarding, subject_of
from tasks.reports.stage import announce, write_report
from tasks.response.compared import with_table
from tasks.response.repairing import BATTERY, CHECK, ROWS, TABLE, settings
from tasks.runtime import name_run, services, start_workers, task_runner


@flow(name="repair-model", flow_run_name="repair {target}", task_runner=task_runner())
def repair_model(
    target: AssetOrBundle, *, epochs: int = 20, tier: TierChoice | None = None
) -> dict[str, Any]:
    """Takes a model's hidden trigger out of copies; counts what each still obeys; signs that.

    Repaired models are kept by digest; none is registered: it comes back as a bundle and is
    onboarded like every other.

    Args:
        target: Asset id as in the inventory, or the path of a bundle.
        epochs: Of training on.
        tier: Risk tier; the questionnaire's answers choose when left out.
    """
    started = clock.now()
    subject = subject_of(target) or take_in(target)
    planned = plan_onboarding(
        subject, battery=BATTERY, tier=tier, occasion=ASSESSMENT, settings=settings(epochs=epochs)
    )
    name_run(f"repair {planned.plan.asset}")
    if not planned.sealed:
        start_workers()
        executions = measure_plan(planned.plan, subject)
        findings, decision = judge_run(planned.plan, executions)
        report = write_report(planned.plan, executions, findings, decision)
        seal(
            make_record(
                planned.plan, executions, findings, decision, started=started, report=report
            )
        )
    return with_table(announce(planned.plan.run), CHECK, services().store, table=TABLE, rows=ROWS)
