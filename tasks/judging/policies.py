"""Policies: from the findings of a run to a verdict. Pure: no input, no output.

The list names what lets an asset in, not what keeps it out: an answer that is missing, doubled or
of a kind that nobody thought of keeps it from being accepted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tasks.catalog.schema import PolicyEntry
from tasks.domain.finding import Decision, Finding, Outcome, Verdict

SETTLED = frozenset({Outcome.PASS, Outcome.NOT_APPLICABLE})
"""The outcomes that ask for nothing more."""

_SPOKEN = {
    Outcome.PASS: "passed",
    Outcome.FAIL: "failed",
    Outcome.UNDECIDED: "could not be decided",
    Outcome.NOT_APPLICABLE: "does not apply",
    Outcome.NOT_AVAILABLE: "could not be asked",
    Outcome.ERROR: "broke",
}


def decide(
    policy: PolicyEntry,
    findings: Sequence[Finding],
    expected: Sequence[str],
    *,
    approved: Mapping[str, str] = MappingProxyType({}),
) -> Decision:
    """Returns the verdict with its reasons and conditions.

    Args:
        policy: The policy of the risk tier.
        findings: One finding for each check that was run.
        expected: Ids of the checks that the battery demanded.
        approved: Checks whose finding somebody accepted in writing, and the words of it.

    Refused when any check failed at ``policy.refuse_at`` or above: no approval changes that.
    Otherwise for a person to review when an answer is missing, or when a required check ended in
    ``policy.review_on`` and nobody accepted it. Otherwise accepted, with one condition for each
    answer that is not settled; an approval is named as one.
    """
    required = required_checks(policy, findings, expected)
    if refusing := [one for one in findings if _refuses(policy, one)]:
        return _decision(Verdict.REFUSED, [_sentence(one) for one in refusing])
    gaps = _gaps(policy, findings, expected)
    open_ = [
        _sentence(one)
        for one in findings
        if one.check in required and one.outcome in policy.review_on and one.check not in approved
    ]
    if gaps or open_:
        return _decision(Verdict.NEEDS_REVIEW, gaps + open_)
    if unsettled := [one for one in findings if one.outcome not in SETTLED]:
        return Decision(
            verdict=Verdict.ACCEPTED_WITH_CONDITIONS,
            reasons=(*(_sentence(one) for one in unsettled), _tally(findings)),
            conditions=tuple(_condition(one, approved.get(one.check, "")) for one in unsettled),
        )
    return _decision(Verdict.ACCEPTED, [_tally(findings)])


def required_checks(
    policy: PolicyEntry, findings: Sequence[Finding], expected: Sequence[str]
) -> frozenset[str]:
    """Returns the checks that must be settled. A check without a rule is required."""
    optional = {rule.check for rule in policy.rules if not rule.required}
    named = {rule.check for rule in policy.rules} | set(expected)
    return frozenset((named | {one.check for one in findings}) - optional)


def _refuses(policy: PolicyEntry, finding: Finding) -> bool:
    return finding.outcome is Outcome.FAIL and finding.severity.rank >= policy.refuse_at.rank


def _gaps(policy: PolicyEntry, findings: Sequence[Finding], expected: Sequence[str]) -> list[str]:
    """Returns why the findings are not the whole answer, one sentence each."""
    found = Counter(one.check for one in findings)
    gaps = [] if expected else ["The battery is empty: nothing was asked."]
    gaps += [
        f"{check} was planned, but there is no finding for it."
        for check in sorted(set(expected) - set(found))
    ]
    gaps += [
        f"{check} has {count} findings where one is expected."
        for check, count in sorted(found.items())
        if count > 1
    ]
    gaps += [
        f"{check} was not planned, but there is a finding for it."
        for check in sorted(set(found) - set(expected))
    ]
    gaps += [
        f"{rule.check} is required by the policy {policy.id}, but it is not in the battery."
        for rule in policy.rules
        if rule.required and rule.check not in expected
    ]
    if findings and not any(one.outcome is Outcome.PASS for one in findings):
        gaps.append(f"None of {len(findings)} checks passed: nothing speaks for the asset.")
    return gaps


def _sentence(finding: Finding) -> str:
    spoken = f"{finding.check} {_SPOKEN[finding.outcome]}"
    if finding.outcome is Outcome.FAIL:
        spoken += f" ({finding.severity})"
    return f"{spoken}: {_short(finding.detail)}"


def _condition(finding: Finding, approval: str) -> str:
    if approval:
        return f"{finding.check} {_SPOKEN[finding.outcome]}; the risk is {approval}"
    remedy = finding.remediation or "Name a person who accepts the risk, and until when."
    if finding.outcome is Outcome.FAIL:
        return f"Mend {finding.check} or accept its risk in writing. {remedy}"
    return (
        f"{finding.check} {_SPOKEN[finding.outcome]}, so its question stays open: "
        f"{finding.question} Answer it before the next review. {remedy}"
    )


def _tally(findings: Sequence[Finding]) -> str:
    counts = Counter(one.outcome for one in findings)
    parts = [f"{counts[outcome]} {_counted(outcome)}" for outcome in Outcome if counts[outcome]]
    return f"Of {len(findings)} checks, {', '.join(parts)}."


def _counted(outcome: Outcome) -> str:
    return "do not apply" if outcome is Outcome.NOT_APPLICABLE else _SPOKEN[outcome]


def _short(text: str) -> str:
    return text if len(text) <= 400 else text[:399] + "…"


def _decision(verdict: Verdict, reasons: list[str]) -> Decision:
    return Decision(verdict=verdict, reasons=tuple(reasons))
