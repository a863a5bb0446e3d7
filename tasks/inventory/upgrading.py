"""Brings a database to the current schema. Apart, because Alembic is imported for it."""

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from tasks.domain.errors import InventoryError
from tasks.inventory.engine import WAIT_SECONDS, WRITING, shown

MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 7_707_001
"""Any fixed number: only one process migrates a PostgreSQL database at a time."""


def upgrade(engine: Engine) -> None:
    """Runs the migrations that the database lacks.

    Raises:
        InventoryError: The database is newer than this program.
        DBAPIError: It does not answer.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    if _is_current(engine, ScriptDirectory.from_config(config)):
        return
    if engine.dialect.name == "sqlite":
        _write_ahead(engine)
    with engine.connect().execution_options(**WRITING) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


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
