"""Vendors with keys, history and answers; approvals of tiers and findings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the register."""
    op.create_table(
        "vendors",
        *_texts("vendor", "name", "contact", "state", "reason"),
        *_texts("registered", "reviewed", "review_due"),
        sa.PrimaryKeyConstraint("vendor", name="pk_vendors"),
    )
    op.create_table(
        "vendor_keys",
        *_texts("fingerprint", "vendor", "kind", "source", "added"),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_vendor_keys"),
        _of_vendor("vendor_keys"),
    )
    op.create_index("ix_vendor_keys_vendor", "vendor_keys", ["vendor"])
    op.create_table(
        "vendor_events",
        *_texts("vendor"),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        *_texts("state", "reason", "who", "dated"),
        sa.PrimaryKeyConstraint("vendor", "number", name="pk_vendor_events"),
        _of_vendor("vendor_events"),
    )
    op.create_table(
        "vendor_answers",
        *_texts("digest", "vendor", "questionnaire"),
        sa.Column("score", sa.Float(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("answered", "asked", "contradicted")
        ),
        *_texts("run", "dated"),
        sa.PrimaryKeyConstraint("digest", "vendor", name="pk_vendor_answers"),
        _of_vendor("vendor_answers"),
    )
    op.create_table(
        "approvals",
        *_texts("name", "kind", "asset", "tier", "run", "check", "reason", "by", "keyid"),
        *_texts("issued", "expires", "statement"),
        sa.Column("ledger_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_approvals"),
    )
    op.create_index("ix_approvals_asset", "approvals", ["asset"])


def _of_vendor(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["vendor"], ["vendors.vendor"], name=f"fk_{table}_vendor")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
