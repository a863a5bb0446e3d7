"""Connections to SQLite and PostgreSQL, and the schema that both must have.

A connection lives as long as one transaction: workers are many and write seldom. On SQLite writers
queue up front (``BEGIN IMMEDIATE``), so that none fails half-way because another was faster.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from tasks.domain.errors import InventoryError

MIGRATIONS = Path(__file__).parent / "migrations"
WAIT_SECONDS = 30
WRITING = {"proofhouse_writes": True}
"""Execution options of a transaction that will write."""
_ADVISORY_LOCK = 7_707_001
"""Any fixed number: only one process migrates a PostgreSQL database at a time."""


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
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    try:
        if _is_current(engine, script):
            return
        if engine.dialect.name == "sqlite":
            _write_ahead(engine)
        with engine.connect().execution_options(**WRITING) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise InventoryError(
            f"{shown(engine)} does not answer as the inventory's database: {in_words(error)}. "
            "Check PROOFHOUSE_DATABASE and whether it is up."
        ) from error


def _is_current(engine: Engine, script: ScriptDirectory) -> bool:
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    known = {revision.revision for revision in script.walk_revisions()}
    if current is not None and current not in known:
        raise InventoryError(
            f"{shown(engine)} has schema {current}, which this version does not know: it was "
            "written by a newer Proofhouse. Install that version, or use another database."
        )
    return current == script.get_current_head()


def _write_ahead(engine: Engine) -> None:
    """Switches to a log that lets readers read while one writes; the file remembers it."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            raw = engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA journal_mode = WAL")
            finally:
                raw.close()
        except Exception:  # SQLite does not wait for others here, whatever the timeout says
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
