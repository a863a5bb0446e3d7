"""Entries, measurements and findings that the judging tests build on."""

from typing import Any

from tasks.catalog.schema import (
    CheckEntry,
    Gate,
    IntervalGate,
    ObservationsGate,
    PolicyEntry,
    Rule,
)
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Finding, Outcome, References, RiskTier
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity

ABOVE = IntervalGate(kind="interval", estimate="rate", good="above", threshold=0.5)
BELOW = IntervalGate(kind="interval", estimate="rate", good="below", threshold=0.5)
SEEN = ObservationsGate(kind="observations", fail_at=Severity.MEDIUM)


def entry(gate: Gate = ABOVE) -> CheckEntry:
    return CheckEntry(
        id="family.name",
        version=2,
        title="A check",
        lifecycle="stable",
        question="Does the thing hold what it promises?",
        why="Because somebody relies on it.",
        gate=gate,
        severity=Severity.HIGH,
        blind_spots=("Everything that it does not look at.",),
        remediation="Mend what the check found.",
        references=References(atlas=("AML.T0043",)),
        source="Written for these tests.",
    )


def measured(low: float = 0.6, high: float = 0.8, **more: Any) -> Measurement:
    estimate = Estimate(value=(low + high) / 2, low=low, high=high, n=100)
    facts: dict[str, Any] = {
        "check": "family.name",
        "version": 2,
        "status": Status.MEASURED,
        "detail": "Counted twice.",
        "estimates": {"rate": estimate},
    }
    return Measurement(**(facts | more))


def seen(severity: Severity, rule: str = "a.rule") -> Observation:
    return Observation(rule=rule, severity=severity, detail="It is there.", location="a/file")


def finding(check: str, outcome: Outcome, severity: Severity = Severity.MEDIUM) -> Finding:
    return Finding(
        check=check,
        outcome=outcome,
        severity=Severity.INFO if outcome is Outcome.PASS else severity,
        question="Does the thing hold what it promises?",
        detail="0.4 (95 % interval 0.3 to 0.5, n = 100).",
    )


def policy(
    *rules: Rule,
    refuse_at: Severity = Severity.HIGH,
    review_on: tuple[Outcome, ...] = (Outcome.UNDECIDED, Outcome.NOT_AVAILABLE, Outcome.ERROR),
) -> PolicyEntry:
    return PolicyEntry(
        id="tier.test",
        version=1,
        title="A policy",
        purpose="Judges what the tests hand in.",
        tier=RiskTier.MEDIUM,
        battery="a.battery",
        refuse_at=refuse_at,
        review_on=review_on,
        rules=rules or (Rule(check="a.first"),),
    )
