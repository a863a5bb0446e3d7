"""What the shipped batteries and policies promise, whatever else is in the catalog."""

import pytest

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.domain.finding import Finding, Outcome, RiskTier, Verdict
from tasks.domain.severity import Severity
from tasks.judging.policies import decide
from tests.tasks.judging.cases import finding

HOSTILE = (
    "artifact.scan",
    "artifact.behaviour",
    "artifact.weights",
    "provenance.manifest",
    "poisoning.spectral_signature",
    "backdoor.trigger_inversion",
)
WEAK = ("evasion.linf_robust_accuracy", "extraction.fidelity", "privacy.membership")


def verdict(tier: RiskTier, changed: dict[str, Outcome]) -> Verdict:
    catalog = Catalog()
    policy = catalog.policy_for(tier)
    rules = {rule.check: rule for rule in policy.rules}
    names = [strength.check for strength in catalog.battery(policy.battery).checks]
    findings: list[Finding] = [
        finding(name, changed.get(name, Outcome.PASS), rules[name].severity or Severity.HIGH)
        for name in names
    ]
    return decide(policy, findings, names).verdict


@pytest.mark.parametrize("tier", RiskTier)
def test_a_policy_judges_its_own_tier_and_every_check_of_its_battery(tier: RiskTier) -> None:
    catalog = Catalog()
    policy = catalog.policy_for(tier)
    ruled = {rule.check for rule in policy.rules}
    assert policy.tier is tier
    assert {strength.check for strength in catalog.battery(policy.battery).checks} <= ruled
    assert verdict(tier, {}) is Verdict.ACCEPTED


@pytest.mark.parametrize("tier", RiskTier)
@pytest.mark.parametrize("check", HOSTILE)
def test_what_is_hostile_is_refused_in_every_tier(tier: RiskTier, check: str) -> None:
    assert verdict(tier, {check: Outcome.FAIL}) is Verdict.REFUSED


@pytest.mark.parametrize("check", [*WEAK, "data.validation", "provenance.claims"])
def test_weakness_is_a_condition_at_medium(check: str) -> None:
    found = verdict(RiskTier.MEDIUM, {check: Outcome.FAIL})
    assert found is Verdict.ACCEPTED_WITH_CONDITIONS


def test_weakness_against_evasion_refuses_at_high() -> None:
    assert verdict(RiskTier.HIGH, {WEAK[0]: Outcome.FAIL}) is Verdict.REFUSED


def test_missing_training_data_is_a_condition_at_medium_and_a_review_at_high() -> None:
    missing = dict.fromkeys(
        ("poisoning.spectral_signature", "privacy.membership"), Outcome.NOT_AVAILABLE
    )
    assert verdict(RiskTier.MEDIUM, missing) is Verdict.ACCEPTED_WITH_CONDITIONS
    assert verdict(RiskTier.HIGH, missing) is Verdict.NEEDS_REVIEW


def test_the_tiers_ask_for_more_the_higher_they_are() -> None:
    catalog = Catalog()
    policies = [catalog.policy_for(tier) for tier in RiskTier]
    thresholds = [
        rule.threshold
        for policy in policies
        for rule in policy.rules
        if rule.check == WEAK[0] and rule.threshold is not None
    ]
    assert thresholds == sorted(thresholds)
    assert len(thresholds) == 3
    required = [{rule.check for rule in policy.rules if rule.required} for policy in policies]
    assert required[0] <= required[1] <= required[2]


@pytest.mark.parametrize("tier", RiskTier)
def test_the_parameters_of_each_battery_are_ones_its_checks_take(tier: RiskTier) -> None:
    catalog = Catalog()
    known = set(catalog.ids("checks"))
    for strength in catalog.battery(catalog.policy_for(tier).battery).checks:
        if strength.check in known:
            resolved = resolve_parameters(catalog.check(strength.check), strength.parameters)
            assert strength.parameters.items() <= resolved.items()
