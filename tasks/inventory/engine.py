"""Connections to SQLite and PostgreSQL, and the schema that both must have.

A connection lives as long as one transaction: workers are many and write seldom. On SQLite writers
queue up front (``BEGIN IMMEDIATE``), so that none fails half-way because another was faster.
"""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from tasks.domain.errors import InventoryError

CURRENT = "0003"
"""The last of the migrations."""
WAIT_SECONDS = 30
WRITING = {"proofhouse_writes": True}
"""Execution options of a transaction that will write."""


def open_engine(address: str) -> Engine:
    """Returns an engine whose database has the current schema.

    Args:
        address: ``sqlite:///…`` or ``postgresql+psycopg://…``.

    Raises:
        InventoryError: The address is not usable, or the database is newer than this program.
    """
    url = _url_of(address)
    engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgres(url)
    _upgrade(engine)
    return engine


def shown(engine: Engine) -> str:
    """Returns the address without its password."""
    return engine.url.render_as_string(hide_password=True)


def in_words(error: DBAPIError) -> str:
    """Returns what the driver says, and what may lie behind words that tell little.

    The statement's values may hold a vendor's text, so they are not shown.
    """
    words = str(error.orig).strip()
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # extended codes begin with the plain
    full = code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
    return f"{words}. Its disk is full or failing: free space on it" if full else words


def _url_of(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError:
        raise InventoryError(
            "PROOFHOUSE_DATABASE is not a database address: sqlite:///path or "
            "postgresql+psycopg://user:password@host/name expected"
        ) from None
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise InventoryError(f"{url.drivername} is not supported: use SQLite or PostgreSQL")
    return url


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise InventoryError("the inventory needs a file: sqlite:///path/to/inventory.sqlite")
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InventoryError(f"{url.database} cannot be created: {error.strerror}") from error
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN, the driver would say it too late
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # a sealed run survives a power cut


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("proofhouse_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres(url: URL) -> Engine:
    try:
        return create_engine(
            url,
            poolclass=NullPool,
            connect_args={
                "connect_timeout": 10,
                "options": f"-c lock_timeout={WAIT_SECONDS}s -c statement_timeout=60s",
            },
        )
    except NoSuchModuleError as error:
        raise InventoryError(f"{url.drivername} has no driver here: {error}") from error


def _upgrade(engine: Engine) -> None:
    try:
        if _version(engine) == CURRENT:
            return
        from tasks.inventory.upgrading import upgrade  # noqa: PLC0415 - 0.3 s, and seldom needed

        upgrade(engine)
    except DBAPIError as error:
        raise InventoryError(
            f"{shown(engine)} does not answer as the inventory's database: {in_words(error)}. "
            "Check PROOFHOUSE_DATABASE and whether it is up."
        ) from error


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return version
