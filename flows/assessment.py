"""Assessment: one battery's questions about an asset, signed like every other run."""

from typing import Any

from prefect import flow

from tasks import clock
from tasks.checks.stage import measure_plan
from tasks.domain.spec import ASSESSMENT
from tasks.forms import AssetOrBundle, BatteryName, TierChoice
from tasks.intake.stage import compared, take_in
from tasks.ledger.stage import seal
from tasks.onboarding import judge_run, make_record, plan_onboarding, subject_of
from tasks.reports.stage import announce, write_report
from tasks.runtime import name_run, start_workers, task_runner


@flow(name="assess-asset", flow_run_name="assess {target}", task_runner=task_runner())
def assess_asset(
    target: AssetOrBundle, battery: BatteryName, tier: TierChoice | None = None
) -> dict[str, Any]:
    """Asks one battery about an asset of the inventory or a bundle at a path.

    Returns what ``assess --json`` prints. The verdict speaks for these questions only: it lets no
    asset in. What was measured before is reused, so a known asset costs what is new.

    Args:
        target: Asset id as in the inventory, or the path of a bundle.
        battery: Whose questions are asked.
        tier: Risk tier; the questionnaire's answers choose when left out.
    """
    started = clock.now()
    subject = subject_of(target) or compared(take_in(target))
    planned = plan_onboarding(subject, battery=battery, tier=tier, occasion=ASSESSMENT)
    name_run(f"assess {planned.plan.asset}")
    if planned.sealed:
        return announce(planned.plan.run)

    start_workers()
    executions = measure_plan(planned.plan, subject)
    findings, decision = judge_run(planned.plan, executions)
    report = write_report(planned.plan, executions, findings, decision)
    seal(make_record(planned.plan, executions, findings, decision, started=started, report=report))
    return announce(planned.plan.run)
