"""The steps of onboarding between the checks: plan, find a sealed run, judge, write it down.

Each step is idempotent by content address. The flow in ``flows/onboarding.py`` orders them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tasks.catalog.reading import Catalog
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding, Outcome, RiskTier
from tasks.domain.measurement import Measurement, Status
from tasks.domain.run import Reference, RunRecord
from tasks.domain.spec import RunPlan
from tasks.intake.questionnaire import impact_answers
from tasks.judging.concluding import conclude
from tasks.judging.tiers import ImpactAnswers, risk_tier
from tasks.ledger.seal import sealed_run
from tasks.planning import GATEKEEPERS, plan_run
from tasks.reports.cyclonedx import Inventory, render_bom
from tasks.runtime import services
from tasks.store.protocol import ObjectStore


class Planned(NamedTuple):
    """A plan, and whether it was run and sealed before."""

    plan: RunPlan
    sealed: bool


def plan_onboarding(
    subject: Digest, *, battery: str | None, tier: str | None, occasion: str = "onboarding"
) -> Planned:
    """Plans the run of a subject; a run that ended with errors is planned as a new attempt."""
    here = services()
    described = Subject.parse(here.store.get(subject))
    chosen = RiskTier(tier) if tier else tier_of(described)
    attempt = 1
    while True:
        plan = plan_run(
            described,
            subject,
            catalog=Catalog(),
            tier=chosen,
            battery=battery,
            sandbox=here.sandbox.level,
            seed=here.settings.seed,
            occasion=occasion,
            attempt=attempt,
        )
        sealed = sealed_run(here.store, plan.run)
        if sealed is None or not _has_errors(sealed[0]):
            return Planned(plan, sealed is not None)
        attempt += 1


def tier_of(subject: Subject) -> RiskTier:
    """Returns the tier by the questionnaire's answers, at least medium.

    The answers are the vendor's: they can raise the tier; only an operator can lower it.
    """
    answers = ImpactAnswers.model_validate(impact_answers(subject.answers))
    tier = risk_tier(answers).tier
    return RiskTier.MEDIUM if tier is RiskTier.LOW else tier


def blocked_reason(executions: Sequence[Execution]) -> str:
    """Returns why the model must not be opened, from the gatekeepers' measurements; or nothing."""
    store = services().store
    scanned = any(execution.check == GATEKEEPERS[0] for execution in executions)
    reasons: list[str] = [] if scanned else [f"{GATEKEEPERS[0]} did not look at it first"]
    for execution in executions:
        measurement = Measurement.parse(store.get(execution.measurement))
        refusal = measurement.facts.get("refused")
        unscanned = execution.check == GATEKEEPERS[0] and measurement.status is not Status.MEASURED
        if unscanned or measurement.status is Status.ERROR:
            reasons.append(f"{execution.check} broke: {measurement.detail}")
        elif refusal:
            reasons.append(f"{execution.check}: {refusal}")
    return "the model was not opened: " + "; ".join(reasons) if reasons else ""


def judge_run(
    plan: RunPlan, executions: Sequence[Execution]
) -> tuple[tuple[Finding, ...], Decision]:
    """Judges all executions by the plan's policy."""
    return conclude(plan, executions, services().store, Catalog())


def make_record(
    plan: RunPlan,
    executions: Sequence[Execution],
    findings: tuple[Finding, ...],
    decision: Decision,
    *,
    started: datetime,
    report: Digest,
) -> RunRecord:
    """Builds the record that will be signed."""
    here = services()
    guarantees = here.store.guarantees().model_dump(exclude={"notes"})
    return RunRecord(
        run=plan.run,
        asset=plan.asset,
        tier=plan.tier,
        subject=plan.bundle,
        plan=plan,
        findings=findings,
        decision=decision,
        executions=tuple(executions),
        objects=(
            *_references(plan, executions, report, here.store),
            _reference("bom", _bom(plan, executions, findings, decision, here.store), here.store),
        ),
        sandbox={
            "level": here.sandbox.level,
            **{probe.name: "blocked" if probe.blocked else "open" for probe in here.sandbox.probes},
        },
        store={name: str(value) for name, value in guarantees.items()},
        started=_rfc3339(started),
        sealed=_rfc3339(datetime.now(UTC)),
    )


def _bom(
    plan: RunPlan,
    executions: Sequence[Execution],
    findings: tuple[Finding, ...],
    decision: Decision,
    store: ObjectStore,
) -> Digest:
    """Stores the bill of materials with what was measured, so that it is evidence, too."""
    inventory = Inventory(
        plan=plan,
        subject=Subject.parse(store.get(plan.bundle)),
        measurements={
            run.check: Measurement.parse(store.get(run.measurement)) for run in executions
        },
        findings=findings,
        decision=decision,
        read=store.get,
    )
    return store.put(render_bom(inventory)).digest


def _references(
    plan: RunPlan, executions: Sequence[Execution], report: Digest, store: ObjectStore
) -> tuple[Reference, ...]:
    found = [_reference("subject", plan.bundle, store), _reference("report", report, store)]
    subject = Subject.parse(store.get(plan.bundle))
    found += [
        Reference(role=f"file:{file.path}", digest=file.digest, size_bytes=file.size_bytes)
        for file in subject.files
    ]
    found += [
        _reference(f"data:{data.role}", data.digest, store)
        for data in subject.datasets
        if data.digest
    ]
    for execution in executions:
        found.append(_reference(f"measurement:{execution.check}", execution.measurement, store))
        measurement = Measurement.parse(store.get(execution.measurement))
        found += [
            Reference(
                role=f"artifact:{execution.check}:{artifact.name}",
                digest=artifact.digest,
                size_bytes=artifact.size_bytes,
            )
            for artifact in measurement.artifacts
        ]
    return tuple(found)


def _reference(role: str, digest: Digest, store: ObjectStore) -> Reference:
    # Putting bytes that are there already costs a look-up and tells size and version.
    ref = store.put(store.get(digest))
    return Reference(role=role, digest=digest, size_bytes=ref.size_bytes, version=ref.version)


def _has_errors(record: RunRecord) -> bool:
    return any(finding.outcome is Outcome.ERROR for finding in record.findings)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
