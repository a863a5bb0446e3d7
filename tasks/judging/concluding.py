"""From executions to findings and a decision: reads measurements, judges, stores nothing."""

from collections.abc import Sequence

from tasks.catalog.reading import Catalog
from tasks.catalog.schema import PolicyEntry, Rule
from tasks.domain.digest import DigestField
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Finding
from tasks.domain.measurement import Measurement
from tasks.domain.spec import ASSESSMENT, RunPlan
from tasks.judging.gates import judge
from tasks.judging.policies import decide
from tasks.store.protocol import ObjectStore


def conclude(
    plan: RunPlan, executions: Sequence[Execution], store: ObjectStore, catalog: Catalog
) -> tuple[tuple[Finding, ...], Decision]:
    """Judges every execution of a run by the plan's policy."""
    policy = scoped(catalog.policy(plan.policy), plan)
    findings = tuple(_finding(policy, execution, store, catalog) for execution in executions)
    expected = tuple(spec.check for spec in plan.checks)
    return findings, decide(policy, findings, expected)


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
