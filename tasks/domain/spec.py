"""Specs: everything that is needed to do the same work again."""

from pydantic import Field

from tasks.domain.approval import Grant, TierDecision
from tasks.domain.digest import Digest, DigestField, digest_of
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

Parameter = bool | int | float | str
ASSESSMENT = "assessment"
"""The occasion of a run that asks one battery only and never decides whether an asset comes in."""
DRIFT = "drift"
"""The occasion of a run that compares two tables; nobody handed its subject in."""

NIGHTLY = "nightly"
"""The occasion of a run that asks everything about a live asset again."""


class CheckSpec(Frozen):
    """One check on one asset: same spec, same measurement.

    ``inputs`` maps roles (``manifest``, ``artifact``, ``evaluation`` …) to digests; ``code`` is
    the digest of the sources that run it; ``sandbox`` the level it runs at.
    """

    check: EntryId
    version: int = Field(ge=1)
    parameters: dict[str, Parameter] = {}
    seed: int = 0
    inputs: dict[str, DigestField]
    code: DigestField
    sandbox: str

    @property
    def digest(self) -> Digest:
        """The name under which the measurement of this spec is claimed."""
        return digest_of(self.canonical())


class RunPlan(Frozen):
    """One run: which checks, judged by which policy, on which bundle and why now."""

    bundle: DigestField
    asset: str
    tier: str
    battery: EntryId
    battery_digest: DigestField
    policy: EntryId
    policy_digest: DigestField
    occasion: str = "onboarding"
    attempt: int = Field(default=1, ge=1)
    checks: tuple[CheckSpec, ...]
    # Left out of the bytes when there is nothing to say: plans of old ledgers keep their ids.
    tiering: TierDecision | None = Field(default=None, exclude_if=lambda value: value is None)
    grants: tuple[Grant, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Approvals of findings on this very bundle, as they counted when the run was planned."""
    alphas: dict[EntryId, float] = Field(default={}, exclude_if=lambda value: not value)
    """Chance of a false alarm that a repeated check may still cost; see ``statistics.wealth``."""

    @property
    def run(self) -> str:
        """Short id of the run: equal plans are the same run, so a rerun resumes."""
        return "run-" + digest_of(self.canonical()).removeprefix("sha256:")[:20]
