"""Onboarding: from a vendor's bundle in quarantine to a signed verdict."""

from typing import Any

from prefect import flow

from tasks import clock
from tasks.checks.stage import measure_plan
from tasks.forms import Ask, BatteryName, BundlePath, TierChoice
from tasks.intake.stage import compared, filled, take_in
from tasks.ledger.stage import seal
from tasks.onboarding import judge_run, make_record, plan_onboarding
from tasks.registry.stage import enter_registry
from tasks.reports.stage import announce, write_report
from tasks.runtime import name_run, start_workers, task_runner


@flow(name="onboard-model", flow_run_name="onboard {bundle}", task_runner=task_runner())
def onboard_model(
    bundle: BundlePath,
    battery: BatteryName | None = None,
    tier: TierChoice | None = None,
    ask: Ask = False,
) -> dict[str, Any]:
    """Takes in a bundle, measures, judges and seals; returns what ``onboard --json`` prints.

    A model whose bytes the scan refuses is never opened. An accepted one is signed and registered
    as candidate. A plan that was sealed before is not run again; its verdict is read from verified
    evidence.

    Args:
        bundle: A bundle folder, or an archive of one.
        battery: Which checks; the risk tier chooses when left out.
        tier: Risk tier; the questionnaire's answers choose when left out.
        ask: Wait until somebody fills in what the vendor left open.
    """
    started = clock.now()
    subject = compared(filled(take_in(bundle), ask=ask))
    planned = plan_onboarding(subject, battery=battery, tier=tier)
    name_run(f"onboard {planned.plan.asset}")
    if planned.sealed:
        return announce(enter_registry(planned.plan.run))

    start_workers()
    executions = measure_plan(planned.plan, subject)
    findings, decision = judge_run(planned.plan, executions)
    report = write_report(planned.plan, executions, findings, decision)
    seal(make_record(planned.plan, executions, findings, decision, started=started, report=report))
    return announce(enter_registry(planned.plan.run))
