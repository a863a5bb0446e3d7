"""Hardening: the response to failed evasion, from a bundle to what each defence is worth."""

from typing import Any

from prefect import flow

from tasks import clock
from tasks.checks.stage import measure_plan
from tasks.domain.spec import ASSESSMENT
from tasks.forms import AssetOrBundle, DefenceName, TierChoice
from tasks.intake.stage import take_in
from tasks.ledger.stage import seal
from tasks.onboarding import judge_run, make_record, plan_onboarding, subject_of
from tasks.reports.stage import announce, write_report
from tasks.response.compared import with_table
from tasks.response.hardening import BATTERY, CHECK, ROWS, TABLE, settings
from tasks.runtime import name_run, services, start_workers, task_runner

ALL: tuple[DefenceName, ...] = (
    "adversarial_training",
    "art_trades",
    "jpeg_compression",
    "spatial_smoothing",
    "feature_squeezing",
    "random_resize_pad",
    "randomised_smoothing",
)


@flow(name="harden-model", flow_run_name="harden {target}", task_runner=task_runner())
def harden_model(
    target: AssetOrBundle,
    *,
    epsilon: float = 0.0314,
    defences: tuple[DefenceName, ...] = ALL,
    points: int = 200,
    epochs: int = 30,
    tier: TierChoice | None = None,
) -> dict[str, Any]:
    """Attacks a model bare and behind each defence, by one who knows of it; signs what came out.

    The defences are spread over the workers. Hardened models are kept by digest; none is
    registered: it comes back as a bundle and is onboarded like every other.

    Args:
        target: Asset id as in the inventory, or the path of a bundle.
        epsilon: Largest change of a value, as a share of the input range.
        defences: What to try.
        points: Most inputs to attack; fewer where the answer is settled.
        epochs: Of adversarial training.
        tier: Risk tier; the questionnaire's answers choose when left out.
    """
    started = clock.now()
    subject = subject_of(target) or take_in(target)
    chosen = settings(epsilon=epsilon, defences=defences, points=points, epochs=epochs)
    planned = plan_onboarding(
        subject, battery=BATTERY, tier=tier, occasion=ASSESSMENT, settings=chosen
    )
    name_run(f"harden {planned.plan.asset}")
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
