"""From executions to findings and a decision: reads measurements, judges, stores nothing."""

from collections.abc import Sequence

from tasks.catalog.reading import Catalog
from tasks.catalog.schema import PolicyEntry, Rule
from tasks.domain.digest import DigestField
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding, Verdict
from tasks.domain.measurement import Measurement
from tasks.domain.spec import ASSESSMENT, RunPlan
from tasks.judging.gates import judge
from tasks.judging.policies import decide
from tasks.judging.repeating import rationed
from tasks.store.protocol import ObjectStore


def conclude(
    plan: RunPlan, executions: Sequence[Execution], store: ObjectStore, catalog: Catalog
) -> tuple[tuple[Finding, ...], Decision]:
    """Judges every execution of a run by the plan's policy."""
    policy = scoped(catalog.policy(plan.policy), plan)
    findings = tuple(
        rationed(
            _finding(policy, execution, store, catalog),
            catalog.check(execution.check),
            plan.alphas.get(execution.check),
        )
        for execution in executions
    )
    expected = tuple(spec.check for spec in plan.checks)
    decision = decide(policy, findings, expected, approved=_approved(plan, findings))
    return findings, _with_tier(plan, decision)


def _approved(plan: RunPlan, findings: Sequence[Finding]) -> dict[str, str]:
    """Returns the approvals that accept a finding exactly as it was measured."""
    measured = {finding.check: finding.evidence[0] for finding in findings if finding.evidence}
    return {
        grant.check: grant.told
        for grant in plan.grants
        if grant.check is not None and measured.get(grant.check) == grant.measurement
    }


def _with_tier(plan: RunPlan, decision: Decision) -> Decision:
    """Adds a condition when somebody chose another tier than the answers lead to."""
    tiering = plan.tiering
    if tiering is None or tiering.chosen == tiering.computed:
        return decision
    if tiering.grant is not None:
        told = f"Tier {tiering.chosen} instead of {tiering.computed}: {tiering.grant.told}"
    elif tiering.unapproved:
        told = (
            f"Tier {tiering.chosen} was chosen, the answers lead to {tiering.computed} "
            f"({'; '.join(tiering.reasons)}). Have it approved: proofhouse approve tier "
            f"'{plan.asset}' --tier {tiering.chosen} --reason … --expires …"
        )
    else:
        return decision
    verdict = decision.verdict
    return Decision(
        verdict=Verdict.ACCEPTED_WITH_CONDITIONS if verdict is Verdict.ACCEPTED else verdict,
        reasons=decision.reasons,
        conditions=(*decision.conditions, told),
    )


def scoped(policy: PolicyEntry, plan: RunPlan) -> PolicyEntry:
    """Returns the policy as far as the plan asks: an assessment asks one battery's questions."""
    if plan.occasion != ASSESSMENT:
        return policy
    asked = {spec.check for spec in plan.checks}
    rules = tuple(rule for rule in policy.rules if rule.check in asked)
    return policy.model_copy(update={"rules": rules})


def evidence_of(execution: Execution, measurement: Measurement) -> tuple[DigestField, ...]:
    """Returns the digests a finding rests on: the measurement first, then its artifacts."""
    return (execution.measurement, *(artifact.digest for artifact in measurement.artifacts))


def _finding(
    policy: PolicyEntry, execution: Execution, store: ObjectStore, catalog: Catalog
) -> Finding:
    entry = catalog.check(execution.check)
    measurement = Measurement.parse(store.get(execution.measurement))
    rule = next((rule for rule in policy.rules if rule.check == entry.id), Rule(check=entry.id))
    return judge(
        entry,
        measurement,
        threshold=rule.threshold,
        severity=rule.severity,
        evidence=evidence_of(execution, measurement),
    )
