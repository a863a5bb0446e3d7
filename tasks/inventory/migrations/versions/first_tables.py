"""Assets, bundles, runs and findings, and the view of verdict changes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

VERDICT_CHANGES = """
CREATE VIEW verdict_changes AS
SELECT asset, run, before, verdict AS after, sealed, ledger_index FROM (
    SELECT asset, run, verdict, sealed, ledger_index, COALESCE(
        LAG(verdict) OVER (PARTITION BY asset ORDER BY ledger_index, run), '') AS before
    FROM runs
) AS history WHERE before <> verdict
"""


def upgrade() -> None:
    """Creates everything."""
    op.create_table(
        "assets",
        _key("asset"),
        *_texts("vendor", "name", "version", "owner", "purpose", "sensitivity", "tier"),
        *_texts("licence", "provenance", "last_retrained", "state"),
        sa.PrimaryKeyConstraint("asset", name="pk_assets"),
    )
    op.create_table(
        "bundles",
        _key("digest"),
        *_texts("asset", "first_run_started"),
        sa.PrimaryKeyConstraint("digest", name="pk_bundles"),
        sa.ForeignKeyConstraint(["asset"], ["assets.asset"], name="fk_bundles_asset"),
    )
    op.create_index("ix_bundles_asset", "bundles", ["asset"])
    op.create_table(
        "runs",
        _key("run"),
        *_texts("asset", "bundle", "plan", "tier", "battery", "policy", "occasion"),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        *_texts("state", "verdict", "started", "sealed", "statement"),
        sa.Column("ledger_index", sa.BigInteger(), nullable=False),
        *_texts("report"),
        sa.PrimaryKeyConstraint("run", name="pk_runs"),
        sa.ForeignKeyConstraint(["asset"], ["assets.asset"], name="fk_runs_asset"),
        sa.ForeignKeyConstraint(["bundle"], ["bundles.digest"], name="fk_runs_bundle"),
    )
    op.create_index("ix_runs_asset_ledger_index", "runs", ["asset", "ledger_index"])
    _create_findings()
    op.execute(VERDICT_CHANGES)


def _create_findings() -> None:
    op.create_table(
        "findings",
        _key("run"),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        *_texts("check", "outcome", "severity", "question"),
        *(sa.Column(name, sa.Float()) for name in ("value", "low", "high", "confidence")),
        sa.Column("n", sa.BigInteger()),
        sa.Column("threshold", sa.Float()),
        *_texts("detail", "remediation"),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("run", "position", name="pk_findings"),
        sa.ForeignKeyConstraint(["run"], ["runs.run"], name="fk_findings_run"),
    )
    op.create_index("ix_findings_check_outcome", "findings", ["check", "outcome"])


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
