"""A real PostgreSQL server on loopback, from the Debian package, without durability."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.services.processes import Child, free_port, require, wait_until

PACKAGES = "postgresql"
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB")


class Postgres:
    """A running server; every test takes a database of its own."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._binaries = binaries
        self.server: Child

    def start(self) -> None:
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "proof", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = [item for setting in FAST for item in ("-c", setting)]
        self.server = Child(
            [
                *_as_other_user(), str(self._binaries / "postgres"), "-D", data, "-h", "127.0.0.1",
                "-p", str(self.port), "-k", "", *options,
            ],
            log=self.folder / "log",
            env=os.environ | {"LC_ALL": "C"},
        )  # fmt: skip
        wait_until(self._answers, what=f"PostgreSQL (log in {self.folder}/log)", seconds=30)

    def new_database(self) -> str:
        """Creates an empty database and returns its address."""
        name = f"inventory_{uuid.uuid4().hex[:12]}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "proof", name)
        return f"postgresql+psycopg://proof@127.0.0.1:{self.port}/{name}"

    def restart(self) -> None:
        """Starts a server again that was stopped or killed."""
        self.server.restart()
        wait_until(self._answers, what=f"PostgreSQL (log in {self.folder}/log)", seconds=30)

    def stop(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            self.server.stop(signal.SIGQUIT)  # at once: nothing here is worth a checkpoint

    def _answers(self) -> bool:
        return self._try("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)) == 0

    def _try(self, name: str, *arguments: str) -> int:
        return subprocess.run([str(self._binaries / name), *arguments], check=False).returncode

    def _run(self, name: str, *arguments: str) -> None:
        command = [*_as_other_user(), str(self._binaries / name), *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, cwd=self.folder
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")


def _as_other_user() -> Sequence[str]:
    """PostgreSQL refuses to run as root; its package brings a user."""
    if os.geteuid() != 0:
        return ()
    account = pwd.getpwnam("postgres")
    return (
        "setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups",
        "--pdeathsig", "KILL",
    )  # fmt: skip


def _binaries() -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found = versions[-1] if versions else shutil.which("postgres")
    return Path(found).parent if found else None


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Lends a fresh server; skips or fails when PostgreSQL is not installed."""
    binaries = _binaries()
    require(
        [str((binaries or Path()) / "postgres"), "setpriv"],
        what="PostgreSQL",
        switch="PROOFHOUSE_REQUIRE_POSTGRES",
        packages=PACKAGES,
    )
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = Postgres(folder, binaries)
    try:
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
