"""A real Redis server on loopback, from the Debian package, that writes every change to disk."""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.services.processes import Child, free_port, require, wait_until


class RedisServer:
    """A running server with an append-only file, so that it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        command = [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip
        self.server = Child(command, log=folder / "log", env={"PATH": "/usr/bin:/bin"})
        self.await_answers()

    def await_answers(self) -> None:
        wait_until(self._answers, what="Redis", seconds=30)

    def restart(self) -> None:
        self.server.kill()
        self.server.restart()
        self.await_answers()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextlib.contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Lends a fresh server; skips or fails when Redis is not installed."""
    require(
        ["redis-server", "setpriv"],
        what="Redis",
        switch="PROOFHOUSE_REQUIRE_REDIS",
        packages="redis-server",
    )
    folder = Path(tempfile.mkdtemp(prefix="redis"))
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.server.stop()
        shutil.rmtree(folder, ignore_errors=True)
