"""The tables, as SQLAlchemy sees them. ``migrations/`` creates them; a test compares the two."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Float, ForeignKey, Index, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class PlainText(TypeDecorator[str]):
    """Text without NUL characters, which PostgreSQL cannot store and vendors can send."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - fixed by SQLAlchemy
        """Replaces NUL by the replacement character."""
        return value if value is None else value.replace("\x00", "\ufffd")


class Table(DeclarativeBase):
    """Base of all tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: PlainText, float: Float, int: BigInteger, Any: JSON}


class AssetTable(Table):
    """Models and datasets."""

    __tablename__ = "assets"

    asset: Mapped[str] = mapped_column(primary_key=True)
    vendor: Mapped[str]
    name: Mapped[str]
    version: Mapped[str]
    owner: Mapped[str]
    purpose: Mapped[str]
    sensitivity: Mapped[str]
    tier: Mapped[str]
    licence: Mapped[str]
    provenance: Mapped[str]
    last_retrained: Mapped[str]
    state: Mapped[str]


class BundleTable(Table):
    """What was handed in, by the digest of the subject; one asset may come more than once."""

    __tablename__ = "bundles"

    digest: Mapped[str] = mapped_column(primary_key=True)
    asset: Mapped[str] = mapped_column(ForeignKey("assets.asset"), index=True)
    first_run_started: Mapped[str]


class RunTable(Table):
    """Sealed runs. Order comes from the ledger's index, never from a clock."""

    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_asset_ledger_index", "asset", "ledger_index"),)

    run: Mapped[str] = mapped_column(primary_key=True)
    asset: Mapped[str] = mapped_column(ForeignKey("assets.asset"))
    bundle: Mapped[str] = mapped_column(ForeignKey("bundles.digest"))
    plan: Mapped[str]
    tier: Mapped[str]
    battery: Mapped[str]
    policy: Mapped[str]
    occasion: Mapped[str]
    attempt: Mapped[int]
    state: Mapped[str]
    verdict: Mapped[str]
    started: Mapped[str]
    sealed: Mapped[str]
    statement: Mapped[str]
    ledger_index: Mapped[int]
    report: Mapped[str]


class FindingTable(Table):
    """Findings, in the order of the record."""

    __tablename__ = "findings"
    __table_args__ = (Index("ix_findings_check_outcome", "check", "outcome"),)

    run: Mapped[str] = mapped_column(ForeignKey("runs.run"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    check: Mapped[str]
    outcome: Mapped[str]
    severity: Mapped[str]
    question: Mapped[str]
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    confidence: Mapped[float | None]
    n: Mapped[int | None]
    threshold: Mapped[float | None]
    detail: Mapped[str]
    remediation: Mapped[str]
    evidence: Mapped[Any]


class VendorTable(Table):
    """Third parties that hand models and data in; ``vendor`` is the one spelling of the name."""

    __tablename__ = "vendors"

    vendor: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    contact: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str]
    registered: Mapped[str]
    reviewed: Mapped[str]
    review_due: Mapped[str]


class VendorKeyTable(Table):
    """What a vendor is known by. A key vouches for one vendor only, hence the primary key."""

    __tablename__ = "vendor_keys"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    vendor: Mapped[str] = mapped_column(ForeignKey("vendors.vendor"), index=True)
    kind: Mapped[str]
    source: Mapped[str]
    added: Mapped[str]


class VendorEventTable(Table):
    """What happened to a vendor, in order: who moved it where, and why."""

    __tablename__ = "vendor_events"

    vendor: Mapped[str] = mapped_column(ForeignKey("vendors.vendor"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str]
    reason: Mapped[str]
    who: Mapped[str]
    dated: Mapped[str]


class ApprovalTable(Table):
    """Approvals of tiers and findings, as they were logged; the ledger says whether they count."""

    __tablename__ = "approvals"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    asset: Mapped[str] = mapped_column(index=True)
    tier: Mapped[str]
    run: Mapped[str]
    check: Mapped[str]
    reason: Mapped[str]
    by: Mapped[str]
    keyid: Mapped[str]
    issued: Mapped[str]
    expires: Mapped[str]
    statement: Mapped[str]
    ledger_index: Mapped[int]


class VendorAnswersTable(Table):
    """Questionnaires that a vendor answered, by the digest of the answers, with their score."""

    __tablename__ = "vendor_answers"

    digest: Mapped[str] = mapped_column(primary_key=True)
    vendor: Mapped[str] = mapped_column(ForeignKey("vendors.vendor"), primary_key=True)
    questionnaire: Mapped[str]
    score: Mapped[float]
    answered: Mapped[int]
    asked: Mapped[int]
    contradicted: Mapped[int]
    run: Mapped[str]
    dated: Mapped[str]


class ModelVersionTable(Table):
    """Registered versions as their model's chain tells them; ``alias`` is empty for none."""

    __tablename__ = "model_versions"

    asset: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(index=True)
    alias: Mapped[str]
    run: Mapped[str]
    statement: Mapped[str]
    subject: Mapped[str]
    signature: Mapped[str]
    promotion: Mapped[str]
    withdrawn: Mapped[str]
    registered: Mapped[str]


class PromotionTable(Table):
    """Moves between aliases, in the order of each model's chain."""

    __tablename__ = "promotions"

    model: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    action: Mapped[str]
    alias: Mapped[str]
    asset: Mapped[str]
    leaves: Mapped[str]
    run: Mapped[str]
    reason: Mapped[str]
    by: Mapped[str]
    issued: Mapped[str]
    statement: Mapped[str]
    ledger_index: Mapped[int]
