"""The local Prefect server: it starts, it answers, and nothing of it stays."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tasks.serving import (
    ServerError,
    client_environment,
    free_port,
    is_healthy,
    local_server,
    server_environment,
)
from tests.services.processes import wait_until


def test_a_free_port_can_be_taken() -> None:
    ports = {free_port() for _ in range(5)}
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_a_closed_port_is_not_healthy() -> None:
    assert not is_healthy(f"http://127.0.0.1:{free_port()}/api", timeout_seconds=1)


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "http://127.0.0.1:99999/api"])
def test_an_address_that_is_none_is_not_healthy(url: str) -> None:
    assert not is_healthy(url, timeout_seconds=1)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answers the first caller with fixed bytes: a port that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(4096)
                caller.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        thread.join(5)


OTHERS = {
    "a sick server": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "silence": b"",
    "a cut header": b"HTTP/1.1 200 OK\r\nContent-",
}


@pytest.mark.parametrize("who", OTHERS)
def test_somebody_elses_port_is_not_a_healthy_server(who: str) -> None:
    with answering(OTHERS[who]) as url:
        assert is_healthy(url, timeout_seconds=2) is (who == "a cut header")


def test_a_healthy_server_is_seen() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue") as url:
        assert is_healthy(url)


def test_environments_keep_everything_inside_the_home(tmp_path: Path) -> None:
    server = server_environment(tmp_path, 4711, ui=False)
    client = client_environment(tmp_path, server["PREFECT_API_URL"])
    assert server["PREFECT_API_URL"] == client["PREFECT_API_URL"] == "http://127.0.0.1:4711/api"
    assert server["PREFECT_HOME"] == client["PREFECT_HOME"] == str(tmp_path / "prefect")
    assert str(tmp_path) in server["PREFECT_API_DATABASE_CONNECTION_URL"]
    assert server["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert (server["PREFECT_SERVER_UI_ENABLED"], client["DO_NOT_TRACK"]) == ("false", "1")


LAST_WORDS = f"""sqlite3.OperationalError: attempt to write a readonly database
{"and much of what it would have written " * 100}
no module named uvicorn"""


@pytest.fixture
def broken_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat >&2 <<END\n{LAST_WORDS}\nEND\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


@pytest.mark.usefixtures("broken_program")
def test_a_server_that_does_not_start_tells_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerError, match="exited with 3") as caught,
        local_server(tmp_path / "home"),
    ):
        pytest.fail("it must not be entered")
    assert "because of sqlite3.OperationalError: attempt to write" in caught.value.message
    assert "no module named uvicorn" in caught.value.message
    assert "PREFECT_API_URL" in caught.value.message
    assert list((tmp_path / "home" / "prefect").glob("server-*.log")) == []


STARTER = """
import os, sys, time
from pathlib import Path
from tasks.serving import local_server
with local_server(Path(sys.argv[1]), ui=False) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def is_open(url: str) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) == 0


@pytest.mark.slow
def test_a_server_lives_as_long_as_it_is_needed(tmp_path: Path) -> None:
    with local_server(tmp_path, ui=False) as url:
        assert is_healthy(url)
        assert (tmp_path / "prefect" / "prefect.db").is_file()
    assert not is_open(url)
    assert list((tmp_path / "prefect").glob("server-*.log")) == []


@pytest.mark.slow
def test_a_server_dies_with_a_killed_starter(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert starter.stdout is not None
        url = starter.stdout.readline().strip()
        assert is_healthy(url)
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
        wait_until(lambda: not is_open(url), what="the end of the orphaned server", seconds=10)
    finally:
        starter.kill()
        starter.communicate()


def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"Port {port}"), local_server(tmp_path, port=port):
            pytest.fail("it must not be entered")
    assert list(tmp_path.iterdir()) == []
