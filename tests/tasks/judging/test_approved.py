"""What an approval changes in a verdict, and what it never does."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalog.reading import Catalog, entry_digest
from tasks.catalog.schema import Rule
from tasks.domain.approval import Grant, TierDecision
from tasks.domain.digest import digest_of
from tasks.domain.finding import Finding, Outcome, RiskTier, Verdict
from tasks.domain.severity import Severity
from tasks.domain.spec import RunPlan
from tasks.judging.concluding import _approved, _with_tier
from tasks.judging.policies import decide
from tests.tasks.judging.cases import finding, policy

POLICY = policy(Rule(check="a.first"), Rule(check="a.second"))
NAMES = ["a.first", "a.second"]
MEASURED = digest_of(b"as it was measured")
ORDER = [Verdict.REFUSED, Verdict.NEEDS_REVIEW, Verdict.ACCEPTED_WITH_CONDITIONS, Verdict.ACCEPTED]


def grant(**changed: Any) -> Grant:
    told: dict[str, Any] = {
        "name": "approval-1", "statement": digest_of(b"s"), "kind": "finding",
        "check": "a.second", "measurement": MEASURED, "reason": "only own staff can query it",
        "by": "Eve", "expires": datetime(2027, 1, 31, tzinfo=UTC), "keyid": "aa" * 32,
        "separate": True,
    }  # fmt: skip
    return Grant.model_validate(told | changed)


def decided(outcome: Outcome, severity: Severity, *, approved: bool) -> Any:
    found = [finding("a.first", Outcome.PASS), finding("a.second", outcome, severity)]
    words = {"a.second": grant().told} if approved else {}
    return decide(POLICY, found, NAMES, approved=words)


CASES: dict[tuple[Outcome, Severity], tuple[Verdict, Verdict]] = {
    (Outcome.UNDECIDED, Severity.MEDIUM): (
        Verdict.NEEDS_REVIEW, Verdict.ACCEPTED_WITH_CONDITIONS),
    (Outcome.NOT_AVAILABLE, Severity.MEDIUM): (
        Verdict.NEEDS_REVIEW, Verdict.ACCEPTED_WITH_CONDITIONS),
    (Outcome.FAIL, Severity.MEDIUM): (
        Verdict.ACCEPTED_WITH_CONDITIONS, Verdict.ACCEPTED_WITH_CONDITIONS),
    (Outcome.FAIL, Severity.HIGH): (Verdict.REFUSED, Verdict.REFUSED),
    (Outcome.FAIL, Severity.CRITICAL): (Verdict.REFUSED, Verdict.REFUSED),
    (Outcome.PASS, Severity.INFO): (Verdict.ACCEPTED, Verdict.ACCEPTED),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_approval_settles_a_review_and_never_a_refusal(case: tuple[Outcome, Severity]) -> None:
    before, after = CASES[case]
    assert decided(*case, approved=False).verdict is before
    assert decided(*case, approved=True).verdict is after


def test_the_condition_names_who_accepted_the_risk_until_when() -> None:
    [condition] = decided(Outcome.FAIL, Severity.MEDIUM, approved=True).conditions
    for words in ("a.second failed", "Eve", "2027-01-31", "approval-1", "only own staff"):
        assert words in condition


def test_a_gap_cannot_be_approved() -> None:
    found = [finding("a.first", Outcome.PASS)]
    told = decide(POLICY, found, NAMES, approved={"a.second": "approved"})
    assert told.verdict is Verdict.NEEDS_REVIEW


@given(st.sampled_from(list(Outcome)), st.sampled_from(list(Severity)))
def test_an_approval_never_accepts_without_a_condition(outcome: Outcome, grade: Severity) -> None:
    before = decided(outcome, grade, approved=False).verdict
    after = decided(outcome, grade, approved=True)
    assert ORDER.index(after.verdict) >= ORDER.index(before)
    if after.verdict is not before:
        assert after.verdict is Verdict.ACCEPTED_WITH_CONDITIONS
        assert after.conditions


def plan(**changed: Any) -> RunPlan:
    told: dict[str, Any] = {
        "bundle": digest_of(b"b"), "asset": "Acme/reader@1", "tier": "low", "battery": "a.battery",
        "battery_digest": digest_of(b"x"), "policy": "tier.low", "policy_digest": digest_of(b"y"),
        "checks": (),
    }  # fmt: skip
    return RunPlan.model_validate(told | changed)


def measured(digest: bytes = b"as it was measured") -> tuple[Finding, ...]:
    return (
        finding("a.second", Outcome.UNDECIDED).model_copy(
            update={"evidence": (digest_of(digest),)}
        ),
    )


def test_only_what_was_measured_is_approved() -> None:
    granted = plan(grants=(grant(),))
    assert set(_approved(granted, measured())) == {"a.second"}
    assert _approved(granted, measured(b"measured anew")) == {}
    assert _approved(plan(), measured()) == {}


def tiering(chosen: RiskTier, given: Grant | None = None) -> TierDecision:
    table = Catalog().tiers("risk.standard")
    return TierDecision(
        computed=RiskTier.MEDIUM, chosen=chosen, reasons=("nobody said what impact is",),
        table=table.id, table_digest=entry_digest(table), by="operator", grant=given,
    )  # fmt: skip


LOWERED = grant(kind="tier", tier="low", check=None, measurement=None)
TIERS: dict[str, tuple[TierDecision | None, Verdict, str]] = {
    "as answered": (tiering(RiskTier.MEDIUM), Verdict.ACCEPTED, ""),
    "raised": (tiering(RiskTier.HIGH), Verdict.ACCEPTED, ""),
    "lowered alone": (
        tiering(RiskTier.LOW), Verdict.ACCEPTED_WITH_CONDITIONS, "proofhouse approve tier"),
    "lowered with approval": (
        tiering(RiskTier.LOW, LOWERED), Verdict.ACCEPTED_WITH_CONDITIONS, "approved by Eve"),
    "an old plan": (None, Verdict.ACCEPTED, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TIERS)
def test_a_lowered_tier_is_a_condition(name: str) -> None:
    chosen, verdict, words = TIERS[name]
    decision = decided(Outcome.PASS, Severity.INFO, approved=False)
    told = _with_tier(plan(tiering=chosen), decision)
    assert told.verdict is verdict
    assert words in " ".join(told.conditions)
    refused = decided(Outcome.FAIL, Severity.HIGH, approved=False)
    assert _with_tier(plan(tiering=chosen), refused).verdict is Verdict.REFUSED


def test_plans_without_approvals_keep_the_bytes_they_always_had() -> None:
    assert b"tiering" not in plan().canonical()
    assert b"grants" not in plan().canonical()
    whole = plan(tiering=tiering(RiskTier.LOW, LOWERED), grants=(grant(),))
    assert RunPlan.parse(whole.canonical()) == whole
    assert whole.run != plan().run
