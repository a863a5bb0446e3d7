"""Transactions on the inventory's database, for everything that is kept there."""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tasks.domain.errors import InventoryError
from tasks.inventory.engine import WRITING, in_words, open_engine, shown
from tasks.inventory.tables import Table


class Database:
    """One database. Safe to share between threads, and to open in many processes."""

    def __init__(self, url: str) -> None:
        """Opens the database at ``url`` and brings its schema up to date.

        Raises:
            InventoryError: It does not answer, or was written by a newer version.
        """
        self._engine = open_engine(url)

    def _insert_new(self, session: Session, kind: type[Table], /, **values: Any) -> None:
        dialect: Any = postgresql if self._engine.dialect.name == "postgresql" else sqlite
        session.execute(dialect.insert(kind).values(**values).on_conflict_do_nothing())

    def _all(self, kind: type[Any], query: Select[Any]) -> tuple[Any, ...]:
        with self._reading() as session:
            return tuple(
                kind.model_validate({name: getattr(row, name) for name in kind.model_fields})
                for row in session.scalars(query)
            )

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Session]:
        with self._failing_clearly(), Session(self._engine) as session:
            yield session

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Session]:
        writer = self._engine.execution_options(**WRITING)
        with self._failing_clearly(), Session(writer) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise InventoryError(
                f"{shown(self._engine)}: {in_words(error)}. Nothing was changed; check the "
                "database, then do it again."
            ) from None
