"""Prefect's database before its first run, which ``python -m tasks.prepared_database`` makes.

Set-up does so once, and a new home gets a copy. Without one its server takes ten seconds for a
hundred migrations. It holds tables and no rows but the number of the last migration; Prefect moves
an older one on, as it does any database.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

NAME = "prefect.db"


def prepared() -> Path:
    """Where the database of the installed Prefect lies, if set-up made it."""
    return Path(sys.prefix) / "share" / "proofhouse" / f"prefect-{version('prefect')}.db"


def begin(folder: Path) -> None:
    """Gives ``folder`` a copy of the prepared database unless it has one, or there is none."""
    database, made = folder / NAME, prepared()
    if database.exists() or not made.exists():
        return
    part = folder / f".{secrets.token_hex(4)}.part"
    try:
        shutil.copyfile(made, part)
        with contextlib.suppress(FileExistsError):  # another process was faster: its counts
            database.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)


def prepare() -> Path:
    """Makes the database of the installed Prefect; returns where it lies.

    Raises:
        CalledProcessError: Prefect did not make it; it has printed why.
    """
    place = prepared()
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as name:
        made = Path(name) / NAME
        told = {
            "PREFECT_HOME": name,
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{made}",
            "DO_NOT_TRACK": "1",
        }
        subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
            env=os.environ | told,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        made.replace(place)
    return place


if __name__ == "__main__":
    sys.stdout.write(f"{prepare()}\n")
