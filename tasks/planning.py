"""Plans a run: which tier, battery and policy, and exactly which specs. No work is done here."""

from tasks.catalog.reading import Catalog, entry_digest
from tasks.catalog.resolving import plan_checks
from tasks.code import code_digest
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.finding import RiskTier
from tasks.domain.spec import CheckSpec, RunPlan

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
) -> RunPlan:
    """Returns the plan. Equal bundles, catalogs, code and settings give equal plans.

    Raises:
        CatalogError: The battery or the tier's policy does not exist, or they are broken.
    """
    policy = catalog.policy_for(tier)
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
            catalog, chosen.id, subject, code=code_digest(), sandbox=sandbox, seed=seed
        ),
    )


def waves(plan: RunPlan) -> list[list[CheckSpec]]:
    """Returns the checks in the order they may run: each gatekeeper alone, then all the rest.

    The scan comes before anything opens the model, the first look at it before any longer work.
    """
    alone = [[spec for spec in plan.checks if spec.check == name] for name in GATEKEEPERS]
    rest = [spec for spec in plan.checks if spec.check not in GATEKEEPERS]
    return [wave for wave in (*alone, rest) if wave]
