"""The steps of onboarding between the checks: plan, find a sealed run, judge, write it down.

Each step is idempotent by content address. The flow in ``flows/onboarding.py`` orders them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from tasks import clock
from tasks.approving import Granted, grants_here, tier_decision
from tasks.catalog.reading import shared_catalog
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding, Outcome, RiskTier
from tasks.domain.measurement import Measurement, Status
from tasks.domain.moments import rfc3339
from tasks.domain.run import Reference, RunRecord
from tasks.domain.spec import Parameter, RunPlan
from tasks.domain.vendor import BARRED
from tasks.intake.vouching import FAMILY
from tasks.inventory.database import Inventory
from tasks.judging.concluding import conclude
from tasks.ledger.seal import sealed_run
from tasks.planning import GATEKEEPERS, plan_run
from tasks.reports.cyclonedx import Contents, render_bom
from tasks.runtime import services
from tasks.store.protocol import ObjectStore

DECLINED = "onboarding.declined"
"""The battery for vendors whose bundles are refused: nothing of theirs is opened."""


class Planned(NamedTuple):
    """A plan, and whether it was run and sealed before."""

    plan: RunPlan
    sealed: bool


def plan_onboarding(
    subject: Digest,
    *,
    battery: str | None,
    tier: str | None,
    occasion: str = "onboarding",
    settings: Mapping[str, Mapping[str, Parameter]] | None = None,
    granted: Granted | None = None,
) -> Planned:
    """Plans the run of a subject; a run that ended with errors is planned as a new attempt.

    ``settings`` are an operator's own parameters by check; they come before the battery's.
    """
    here = services()
    described = Subject.parse(here.store.get(subject))
    granted = grants_here(described.spec.asset, subject) if granted is None else granted
    tiering = tier_decision(described, RiskTier(tier) if tier else None, granted)
    battery = DECLINED if is_barred(described) else battery
    if described.spec.model.endpoint is not None:
        # Equal plans are the same run, but the model behind an address can change in silence:
        # a verdict about it holds for a day.
        occasion = f"{occasion} of {datetime.now(UTC):%Y-%m-%d}"
    return next_attempt(
        plan_run(
            described,
            subject,
            catalog=shared_catalog(),
            tier=tiering.chosen,
            battery=battery,
            sandbox=here.sandbox.level,
            seed=here.settings.seed,
            occasion=occasion,
            tiering=tiering,
            grants=granted.findings,
            settings=settings,
        )
    )


def next_attempt(plan: RunPlan) -> Planned:
    """Returns the first attempt of a plan that is not sealed yet, or was sealed without errors."""
    while True:
        sealed = sealed_run(services().store, plan.run)
        if sealed is None or not has_errors(sealed[0]):
            return Planned(plan, sealed is not None)
        plan = plan.model_copy(update={"attempt": plan.attempt + 1})


def is_barred(subject: Subject) -> bool:
    """Answers whether the register bars the vendor, as intake found it."""
    rules = {item.rule for item in subject.observations}
    return any(FAMILY + state in rules for state in BARRED)


def subject_of(target: str) -> Digest | None:
    """Returns the subject of the asset that the inventory knows as ``target``, as last seen."""
    latest = Inventory(services().settings.database_url).latest_run(target)
    return Digest(latest.bundle) if latest else None


def asset_of(subject: Digest) -> str:
    """Returns the id of the asset that a kept subject describes."""
    return str(Subject.parse(services().store.get(subject)).spec.asset)


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
    return conclude(plan, executions, services().store, shared_catalog())


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
            **({"notes": "; ".join(here.sandbox.notes)} if here.sandbox.notes else {}),
        },
        store={name: str(value) for name, value in guarantees.items()},
        clocks=_disagreeing(executions),
        started=rfc3339(started),
        sealed=rfc3339(max(started, clock.now())),
    )


def _disagreeing(executions: Sequence[Execution]) -> dict[str, str]:
    """Says which clocks were elsewhere than the one that this run goes by."""
    told = {
        run.check: f"the worker's clock was {clock.in_words(run.skew_seconds)}"
        for run in executions
        if run.skew_seconds
    }
    if moved := clock.moved_seconds():
        told["run"] = f"this machine's clock was set meanwhile and is {clock.in_words(moved)}"
    return told


def _bom(
    plan: RunPlan,
    executions: Sequence[Execution],
    findings: tuple[Finding, ...],
    decision: Decision,
    store: ObjectStore,
) -> Digest:
    """Stores the bill of materials with what was measured, so that it is evidence, too."""
    contents = Contents(
        plan=plan,
        subject=Subject.parse(store.get(plan.bundle)),
        measurements={
            run.check: Measurement.parse(store.get(run.measurement)) for run in executions
        },
        findings=findings,
        decision=decision,
        read=store.get,
    )
    return store.put(render_bom(contents)).digest


def _references(
    plan: RunPlan, executions: Sequence[Execution], report: Digest, store: ObjectStore
) -> tuple[Reference, ...]:
    found = [_reference("subject", plan.bundle, store), _reference("report", report, store)]
    subject = Subject.parse(store.get(plan.bundle))
    if subject.whole:  # nights read its papers again, so it has to be kept as well
        found.append(_reference("whole", subject.whole, store))
        found += [
            Reference(role=f"whole:{file.path}", digest=file.digest, size_bytes=file.size_bytes)
            for file in Subject.parse(store.get(subject.whole)).files
        ]
    found += [
        Reference(role=f"file:{file.path}", digest=file.digest, size_bytes=file.size_bytes)
        for file in (*subject.files, *(subject.baseline.files if subject.baseline else ()))
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


def has_errors(record: RunRecord) -> bool:
    """Answers whether a check of the run broke, so that another attempt may tell more."""
    return any(finding.outcome is Outcome.ERROR for finding in record.findings)
