"""What people decide against the rules, in writing: who, why, until when, signed with which key."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from tasks.domain.digest import Digest, DigestField, digest_of
from tasks.domain.finding import RiskTier
from tasks.domain.frozen import Frozen
from tasks.domain.ids import EntryId

Words = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]


class Approval(Frozen):
    """One decision: a risk tier for an asset, a finding that is accepted, a gate of a case.

    A finding is accepted as it was measured: ``measurement`` is the digest of exactly that, and
    ``subject`` of exactly that bundle. A gate is answered by ``granted``. All end at ``expires``.
    """

    schema_: Literal["proofhouse.approval/1"] = Field(
        default="proofhouse.approval/1", alias="schema"
    )
    kind: Literal["tier", "finding", "step"]
    asset: Words
    tier: RiskTier | None = None
    run: str = ""
    check: EntryId | None = None
    measurement: DigestField | None = None
    subject: DigestField | None = None
    # Left out of the bytes where they say nothing, so that approvals made before keep their names.
    case: str = Field(default="", exclude_if=lambda case: not case)
    step: str = Field(default="", exclude_if=lambda step: not step)
    granted: bool | None = Field(default=None, exclude_if=lambda granted: granted is None)
    reason: Words
    by: Words
    issued: AwareDatetime
    expires: AwareDatetime

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "tier" and self.tier is None:
            raise ValueError("an approval of a tier names the tier")
        named = (self.run, self.check, self.measurement, self.subject)
        if self.kind == "finding" and not all(named):
            raise ValueError("an approval of a finding names run, check, measurement and subject")
        if self.kind == "step" and not (self.case and self.step and self.granted is not None):
            raise ValueError("an approval of a step names case, step and whether it is granted")
        if self.expires <= self.issued:
            raise ValueError("an approval expires after it was issued")
        return self

    @property
    def name(self) -> str:
        """Short id: equal approvals are the same one."""
        return "approval-" + digest_of(self.canonical()).removeprefix("sha256:")[:20]

    @property
    def about(self) -> Digest:
        """The digest that a statement about this approval has as its subject."""
        return Digest(self.measurement or digest_of(self.asset.encode()))


class Grant(Frozen):
    """An approval that counts, as a plan holds it.

    ``separate`` is false when the key that seals runs also signed the approval: then nobody but
    the operator vouches for it.
    """

    name: str
    statement: DigestField
    kind: Literal["tier", "finding", "step"]
    tier: RiskTier | None = None
    check: EntryId | None = None
    measurement: DigestField | None = None
    reason: str
    by: str
    expires: AwareDatetime
    keyid: str
    separate: bool

    @property
    def told(self) -> str:
        """Who decided what until when, in one sentence."""
        told = f"approved by {self.by} until {self.expires:%Y-%m-%d}, {self.name}: {self.reason}"
        return told if self.separate else f"{told} (by the key that also seals runs)"


class TierDecision(Frozen):
    """Which tier an asset was judged at, which one its answers led to, and why they differ.

    ``notes`` name approvals that do not count, with the reason.
    """

    computed: RiskTier
    chosen: RiskTier
    reasons: tuple[str, ...]
    table: EntryId
    table_digest: DigestField
    by: Literal["answers", "operator", "approval"]
    grant: Grant | None = None
    notes: tuple[str, ...] = ()

    @property
    def unapproved(self) -> bool:
        """Whether somebody went below the computed tier without an approval that counts."""
        order = list(RiskTier)
        return order.index(self.chosen) < order.index(self.computed) and self.grant is None
