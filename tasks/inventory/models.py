"""The registry that every installation has: versions and moves in the inventory's database.

A view for people and dashboards. The truth is each model's chain in the ledger; whoever loads a
model verifies that and never reads this.
"""

from collections.abc import Sequence

from sqlalchemy import delete, select

from tasks.inventory.rows import ModelVersion, PromotionRow
from tasks.inventory.sessions import Database
from tasks.inventory.tables import ModelVersionTable, PromotionTable


class ModelRegister(Database):
    """Registered versions and their moves, one transaction each."""

    def record(
        self, model: str, versions: Sequence[ModelVersion], moves: Sequence[PromotionRow]
    ) -> None:
        """Makes the tables tell what a model's chain tells; an older chain changes nothing."""
        with self._writing() as session:
            known = select(PromotionTable.number).where(PromotionTable.model == model)
            if len(session.scalars(known).all()) > len(moves):
                return
            for table in (ModelVersionTable, PromotionTable):
                session.execute(delete(table).where(table.model == model))
            session.flush()
            session.add_all(ModelVersionTable(**row.model_dump()) for row in versions)
            session.add_all(PromotionTable(**row.model_dump()) for row in moves)

    def versions(self, model: str | None = None) -> tuple[ModelVersion, ...]:
        """Returns registered versions, of one model when it is named."""
        query = select(ModelVersionTable).order_by(
            ModelVersionTable.model, ModelVersionTable.registered, ModelVersionTable.asset
        )
        if model is not None:
            query = query.where(ModelVersionTable.model == model)
        return self._all(ModelVersion, query)

    def moves(self, model: str | None = None) -> tuple[PromotionRow, ...]:
        """Returns moves, of one model when it is named, in order."""
        query = select(PromotionTable).order_by(PromotionTable.model, PromotionTable.number)
        if model is not None:
            query = query.where(PromotionTable.model == model)
        return self._all(PromotionRow, query)
