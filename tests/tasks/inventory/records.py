"""Sealed runs to record, as small as they come."""

from tasks.domain.digest import digest_of
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Decision, Finding, Outcome, Verdict
from tasks.domain.run import Reference, RunRecord
from tasks.domain.severity import Severity
from tasks.domain.spec import RunPlan

STATEMENT = digest_of(b"statement")
ASSET = "Acme Vision/digit-reader@1.2.0"


def finding(detail: str = "holds") -> Finding:
    return Finding(
        check="evasion.linf_robust_accuracy",
        outcome=Outcome.PASS,
        severity=Severity.INFO,
        question="Does it hold?",
        estimate=Estimate(value=0.9, low=0.8, high=0.95, n=200),
        threshold=0.7,
        evidence=(digest_of(b"witness"),),
        detail=detail,
    )


def record(
    verdict: Verdict = Verdict.ACCEPTED,
    *,
    asset: str = ASSET,
    occasion: str = "onboarding",
    findings: tuple[Finding, ...] | None = None,
    tier: str = "medium",
) -> RunRecord:
    subject = digest_of(f"subject of {asset}".encode())
    plan = RunPlan(
        bundle=subject,
        asset=asset,
        tier=tier,
        battery="vision.standard",
        battery_digest=digest_of(b"battery"),
        policy="default.medium",
        policy_digest=digest_of(b"policy"),
        occasion=occasion,
        checks=(),
    )
    return RunRecord(
        run=plan.run,
        asset=asset,
        tier=tier,
        subject=subject,
        plan=plan,
        findings=(finding(), finding("holds twice")) if findings is None else findings,
        decision=Decision(verdict=verdict, reasons=("because",)),
        executions=(),
        objects=(Reference(role="report", digest=digest_of(b"report"), size_bytes=6),),
        started="2026-01-01T00:00:00Z",
        sealed="2026-01-01T00:01:00Z",
    )
