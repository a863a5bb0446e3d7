"""A local Prefect server for as long as it is needed, and never longer.

Workers on other processes need a real server: Prefect's ephemeral mode would start one per Dask
worker. The server runs on loopback with its own SQLite file and dies with whoever started it.
"""

import contextlib
import ctypes
import http.client
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks import prepared_database
from tasks.domain.errors import ProofhouseError

_PR_SET_PDEATHSIG = 1
_START_SECONDS = 120
_UVICORN = "import gc; gc.set_threshold(50_000); from uvicorn import main; main()"
"""With garbage collected rarely: a server's imports are six seconds, one of them spent on that."""


class ServerError(ProofhouseError):
    """The orchestration server did not start or does not answer."""

    code = "server.unavailable"


def server_environment(home: Path, port: int, *, ui: bool) -> dict[str, str]:
    """Returns the variables that make a server private, quiet and self-contained."""
    folder = home / "prefect"
    database = folder / prepared_database.NAME
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_ENABLED": "true" if ui else "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
    }


def client_environment(home: Path, url: str) -> dict[str, str]:
    """Returns the variables for a process that talks to the server at ``url``."""
    return {
        "PREFECT_API_URL": url,
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        # Logs go to the UI; the command itself tells the operator what matters.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }


@contextlib.contextmanager
def local_server(
    home: Path,
    *,
    port: int | None = None,
    ui: bool = True,
    meanwhile: Callable[[str], None] = lambda _: None,
) -> Iterator[str]:
    """Runs a server and yields its API address once it is healthy; ends it on leaving.

    While it starts, ``meanwhile`` is called with that address, to do what needs no answer yet.

    Raises:
        ServerError: It did not become healthy; the message ends with what it printed last.
    """
    port = port or free_port()
    if _is_taken(port):  # by another server perhaps, which would then be taken for ours
        raise ServerError(
            f"Port {port} on loopback is in use. Stop what listens there, or choose another port."
        )
    folder = home.resolve() / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    prepared_database.begin(folder)
    log = folder / f"server-{secrets.token_hex(4)}.log"
    url = f"http://127.0.0.1:{port}/api"
    with log.open("wb") as output:
        process = _start(home.resolve(), port, output.fileno(), ui=ui)
    try:
        meanwhile(url)
        _await_health(process, url, log)
        yield url
    finally:
        _end(process)
        log.unlink(missing_ok=True)


def is_healthy(url: str, *, timeout_seconds: float = 2) -> bool:
    """Answers whether a Prefect API answers at ``url``."""
    try:
        # The address is our own setting or loopback, never a vendor's.
        with urllib.request.urlopen(f"{url}/health", timeout=timeout_seconds) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return False


def free_port() -> int:
    """Returns a loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_taken(port: int) -> bool:
    with socket.socket() as caller:
        caller.settimeout(2)
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _start(home: Path, port: int, output: int, *, ui: bool) -> subprocess.Popen[bytes]:
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    return subprocess.Popen(  # noqa: S603 - fixed program, no shell
        [
            sys.executable,
            "-c",
            _UVICORN,
            "--factory",
            "prefect.server.api.server:create_app",
            "--lifespan",
            "on",
            *arguments,
        ],
        env={**os.environ, **server_environment(home, port, ui=ui)},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - started before any thread of ours
    )


def _die_with_parent() -> None:
    """Asks the kernel to end this process when its parent goes, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _await_health(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_healthy(url):
        if process.poll() is not None or time.monotonic() > deadline:
            ended = process.poll()
            state = "did not answer" if ended is None else f"exited with {ended}"
            told = log.read_text(errors="replace")
            raise ServerError(
                f"The local Prefect server {state} within {_START_SECONDS} s{_cause(told)}. It "
                f"printed last:\n{told[-1500:]}\n"
                "Set PREFECT_API_URL to use a server that runs already."
            )
        time.sleep(0.1)


def _cause(told: str) -> str:
    """Returns the last error that a server named; its last words are often only the way there."""
    named = re.findall(r"^[\w.]+(?:Error|Exception): .*$", told, re.MULTILINE)
    return f" because of {named[-1][:300]}" if named else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    for way in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, way)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
        return
