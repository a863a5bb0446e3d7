"""What the inventory tells: assets, runs, findings and changes of verdict."""

from typing import Literal, Self

from tasks.domain.bundle import BundleSpec
from tasks.domain.frozen import Frozen
from tasks.domain.vendor import VendorState

State = Literal["quarantined", "approved", "live", "retired", "withdrawn"]
"""``quarantined`` and ``approved`` follow the latest verdict; people set ``live`` and ``retired``,
responses to incidents set ``withdrawn``, and no verdict changes those three."""


class Asset(Frozen):
    """A model or dataset: what it is, who answers for it, and how far it came.

    ``asset`` is ``vendor/name@version``. Empty text means nobody said.
    """

    asset: str
    vendor: str
    name: str
    version: str
    owner: str = ""
    purpose: str = ""
    sensitivity: str = ""
    tier: str = ""
    licence: str = ""
    provenance: str = ""
    last_retrained: str = ""
    state: State = "quarantined"

    @classmethod
    def of_bundle(cls, spec: BundleSpec) -> Self:
        """Builds the asset from what the vendor's bundle says."""
        return cls(
            asset=spec.asset,
            vendor=spec.vendor.name,
            name=spec.model.name,
            version=spec.model.version,
            purpose=spec.model.intended_use,
            licence=spec.claims.licence or "",
            provenance=", ".join(spec.claims.training_data),
        )

    @classmethod
    def of_id(cls, asset: str) -> Self:
        """Builds an asset from its id alone."""
        rest, _, version = asset.rpartition("@")
        vendor, _, name = rest.partition("/")
        return cls(asset=asset, vendor=vendor, name=name or asset, version=version)


class Run(Frozen):
    """One sealed run, with the digests that lead to its evidence."""

    run: str
    asset: str
    bundle: str
    plan: str
    tier: str
    battery: str
    policy: str
    occasion: str
    attempt: int
    state: str
    verdict: str
    started: str
    sealed: str
    statement: str
    ledger_index: int
    report: str


class RunFinding(Frozen):
    """One finding of a run."""

    run: str
    position: int
    check: str
    outcome: str
    severity: str
    question: str
    value: float | None
    low: float | None
    high: float | None
    confidence: float | None
    n: int | None
    threshold: float | None
    detail: str
    remediation: str
    evidence: tuple[str, ...]


class VerdictChange(Frozen):
    """A run whose verdict differs from the one before it; ``before`` is empty for the first."""

    asset: str
    run: str
    before: str
    after: str
    sealed: str
    ledger_index: int


class Vendor(Frozen):
    """A third party. Dates are UTC in RFC 3339; empty means never."""

    vendor: str
    name: str
    contact: str = ""
    state: VendorState = VendorState.PROSPECTIVE
    reason: str = ""
    registered: str
    reviewed: str = ""
    review_due: str = ""


class VendorKey(Frozen):
    """A public key that vouches for one vendor: SHA-256 of its DER form."""

    fingerprint: str
    vendor: str
    kind: str
    source: str
    added: str


class VendorEvent(Frozen):
    """A vendor moved to a state: who did it, when and why."""

    vendor: str
    number: int
    state: VendorState
    reason: str
    who: str
    dated: str


class ApprovalRow(Frozen):
    """An approval as it was logged. Whether it counts now is for the ledger to say."""

    name: str
    kind: str
    asset: str
    tier: str
    run: str
    check: str
    reason: str
    by: str
    keyid: str
    issued: str
    expires: str
    statement: str
    ledger_index: int


class VendorAnswers(Frozen):
    """One answered questionnaire with its score (0 to 1)."""

    digest: str
    vendor: str
    questionnaire: str
    score: float
    answered: int
    asked: int
    contradicted: int
    run: str
    dated: str


class ModelVersion(Frozen):
    """A registered version; ``promotion`` is the statement that registered it."""

    asset: str
    model: str
    alias: str
    run: str
    statement: str
    subject: str
    signature: str
    promotion: str
    withdrawn: str
    registered: str


class PromotionRow(Frozen):
    """One move of a model's chain, as it was logged."""

    model: str
    number: int
    action: str
    alias: str
    asset: str
    leaves: str
    run: str
    reason: str
    by: str
    issued: str
    statement: str
    ledger_index: int
