"""Dataset review: from data in quarantine to a signed verdict, without any model."""

from typing import Any

from prefect import flow

from tasks import clock
from tasks.checks.stage import measure_plan
from tasks.forms import Ask, BareData, DatasetPath, ProfilePath, TierChoice
from tasks.intake.stage import compared, filled, take_in_dataset
from tasks.ledger.stage import seal
from tasks.onboarding import judge_run, make_record, plan_onboarding
from tasks.reports.stage import announce, write_report
from tasks.runtime import name_run, start_workers, task_runner


@flow(name="review-dataset", flow_run_name="review {data}", task_runner=task_runner())
def review_dataset(
    data: DatasetPath,
    tier: TierChoice | None = None,
    bare: BareData | None = None,
    profile: ProfilePath | None = None,
    ask: Ask = False,
) -> dict[str, Any]:
    """Takes in data, validates it, looks for poison, judges and seals.

    Args:
        data: A bundle, a data file, or a folder of data files.
        tier: Risk tier; by the questionnaire's answers when left out.
        bare: What to say of data that comes without a bundle.
        profile: What the data is held against; the last accepted version when left out.
        ask: Wait until somebody fills in what the vendor left open.
    """
    started = clock.now()
    subject = compared(filled(take_in_dataset(data, bare or BareData()), ask=ask), profile)
    planned = plan_onboarding(subject, battery=None, tier=tier, occasion="dataset review")
    name_run(f"review {planned.plan.asset}")
    if planned.sealed:
        return announce(planned.plan.run)

    start_workers()
    executions = measure_plan(planned.plan, subject)
    findings, decision = judge_run(planned.plan, executions)
    report = write_report(planned.plan, executions, findings, decision)
    seal(make_record(planned.plan, executions, findings, decision, started=started, report=report))
    return announce(planned.plan.run)
