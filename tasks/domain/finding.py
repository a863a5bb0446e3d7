"""Findings and verdicts: facts that a gate and a policy have judged."""

from enum import StrEnum

from tasks.domain.digest import DigestField
from tasks.domain.estimate import Estimate
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId
from tasks.domain.severity import Severity


class Outcome(StrEnum):
    """The six answers a gate can give. Only ``pass`` reassures."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"
    NOT_APPLICABLE = "not_applicable"
    NOT_AVAILABLE = "not_available"
    ERROR = "error"


class Verdict(StrEnum):
    """The four answers a policy can give."""

    ACCEPTED = "accepted"
    ACCEPTED_WITH_CONDITIONS = "accepted_with_conditions"
    NEEDS_REVIEW = "needs_review"
    REFUSED = "refused"


class RiskTier(StrEnum):
    """How much harm a failure of the asset could do; chooses battery and thresholds."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class References(Frozen):
    """Where the field's own catalogs speak of the same thing, as ids."""

    atlas: tuple[str, ...] = ()
    owasp_ml: tuple[str, ...] = ()
    owasp_llm: tuple[str, ...] = ()
    nist_ai_rmf: tuple[str, ...] = ()
    nist_ai_100_2: tuple[str, ...] = ()


class Finding(Frozen):
    """A measurement judged by a gate.

    ``severity`` says how bad a failure of this check is for the tier at hand; it is ``info`` for a
    pass.
    """

    check: EntryId
    outcome: Outcome
    severity: Severity
    question: str
    estimate: Estimate | None = None
    threshold: float | None = None
    references: References = References()
    evidence: tuple[DigestField, ...] = ()
    detail: str
    remediation: str = ""


class Decision(Frozen):
    """A verdict with the reasons and conditions a person can read."""

    verdict: Verdict
    reasons: tuple[str, ...]
    conditions: tuple[str, ...] = ()
