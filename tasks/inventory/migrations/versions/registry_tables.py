"""The model registry as a view: versions with their aliases, and every move."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates the registry's tables."""
    op.create_table(
        "model_versions",
        *_texts("asset", "model", "alias", "run", "statement", "subject", "signature"),
        *_texts("promotion", "withdrawn", "registered"),
        sa.PrimaryKeyConstraint("asset", name="pk_model_versions"),
    )
    op.create_index("ix_model_versions_model", "model_versions", ["model"])
    op.create_table(
        "promotions",
        *_texts("model"),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        *_texts("action", "alias", "asset", "leaves", "run", "reason", "by", "issued"),
        *_texts("statement"),
        sa.Column("ledger_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", name="pk_promotions"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
