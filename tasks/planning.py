"""Plans a run: which tier, battery and policy, and exactly which specs. No work is done here."""

from collections.abc import Mapping
from typing import NamedTuple

from tasks.catalog.reading import Catalog, entry_digest
from tasks.catalog.resolving import plan_checks
from tasks.code import code_digest
from tasks.domain.approval import Grant, TierDecision
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.finding import RiskTier
from tasks.domain.spec import CheckSpec, Parameter, RunPlan

GATEKEEPERS = ("artifact.scan", "artifact.behaviour")
"""Checks that decide whether the model may be opened at all by the others."""


def plan_run(
    subject: Subject,
    digest: Digest,
    *,
    catalog: Catalog,
    tier: RiskTier,
    battery: str | None,
    sandbox: str,
    seed: int,
    occasion: str = "onboarding",
    attempt: int = 1,
    tiering: TierDecision | None = None,
    grants: tuple[Grant, ...] = (),
    settings: Mapping[str, Mapping[str, Parameter]] | None = None,
) -> RunPlan:
    """Returns the plan. Equal bundles, catalogs, code and settings give equal plans.

    ``settings`` are an operator's own parameters, by check.

    Raises:
        CatalogError: The battery or the tier's policy does not exist, or they are broken.
    """
    policy = catalog.policy_for(tier, subject.spec.model.kind)
    chosen = catalog.battery(battery or policy.battery)
    return RunPlan(
        bundle=digest,
        asset=subject.spec.asset,
        tier=tier,
        battery=chosen.id,
        battery_digest=entry_digest(chosen),
        policy=policy.id,
        policy_digest=entry_digest(policy),
        occasion=occasion,
        attempt=attempt,
        checks=plan_checks(
            catalog,
            chosen.id,
            subject,
            code=code_digest(),
            sandbox=sandbox,
            seed=seed,
            thresholds={
                rule.check: rule.threshold for rule in policy.rules if rule.threshold is not None
            },
            settings=settings,
        ),
        tiering=tiering,
        grants=grants,
    )


class Waves(NamedTuple):
    """The checks of a plan by when they may run; within each, the longest first."""

    apart: tuple[CheckSpec, ...]
    """Open no model, so nothing has to be waited for."""
    gatekeepers: tuple[CheckSpec, ...]
    """One after the other: the scan comes before anything opens the model."""
    opening: tuple[CheckSpec, ...]
    """Open the model: only after every gatekeeper has let it pass."""


def waves(plan: RunPlan, catalog: Catalog) -> Waves:
    """Sorts the checks of a plan by when they may run.

    Starting the longest first keeps all workers busy to the end (Graham 1969, LPT rule).
    """
    entries = {spec.check: catalog.check(spec.check) for spec in plan.checks}
    longest_first = sorted(plan.checks, key=lambda spec: -entries[spec.check].typical_seconds)
    rest = [spec for spec in longest_first if spec.check not in GATEKEEPERS]
    return Waves(
        apart=tuple(spec for spec in rest if entries[spec.check].needs.target == "none"),
        gatekeepers=tuple(
            spec for name in GATEKEEPERS for spec in plan.checks if spec.check == name
        ),
        opening=tuple(spec for spec in rest if entries[spec.check].needs.target != "none"),
    )
