"""Stand-ins for what lies outside a drill: orchestrator and mail relay, on loopback.

They keep what they are told and do nothing with it. Everything that contains an attack is real;
these are only there so that a drill wakes nobody up and pauses nobody's deployments.
"""

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tasks.domain.channels import Channels


class Outside(NamedTuple):
    """Where the stand-ins listen, and what they were told."""

    prefect_url: str
    channels: Channels
    orders: list[tuple[str, str, Any]]
    """(method, path, body) of every call to the orchestrator."""
    mails: list[str]


class _Orchestrator(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, deployments: Sequence[str]) -> None:
        self.orders: list[tuple[str, str, Any]] = []
        self.rows = [
            {"id": f"deployment-{place}", "name": name, "paused": False}
            for place, name in enumerate(deployments)
        ]
        super().__init__(("127.0.0.1", 0), _Call)


class _Call(BaseHTTPRequestHandler):
    server: _Orchestrator

    def do_POST(self) -> None:
        """Answers as the orchestrator's API does to the calls that actions make."""
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"null")
        self.server.orders.append((self.command, self.path, body))
        answer: Any = {}
        if self.path == "/deployments/filter":
            answer = self.server.rows
        elif self.path.endswith("/create_flow_run"):
            answer = {"id": f"run-{len(self.server.orders)}", "name": "stand-in"}
        elif self.command == "PATCH":
            for row in self.server.rows:
                if row["id"] == self.path.rpartition("/")[2]:
                    row["paused"] = bool(body["paused"])
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PATCH = do_POST  # noqa: N815 - fixed by the library

    def log_message(self, *_: object) -> None:
        """Says nothing: what was told is kept."""


class _Relay(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[str] = []
        super().__init__(("127.0.0.1", 0), _Mail)


class _Mail(socketserver.StreamRequestHandler):
    server: _Relay

    def handle(self) -> None:
        """Takes mails (RFC 5321) until the sender says goodbye."""
        self.wfile.write(b"220 drill\r\n")
        for line in iter(self.rfile.readline, b""):
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                parts = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(b"".join(parts).decode("utf-8", "replace"))
            if word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


@contextlib.contextmanager
def outside(deployments: Sequence[str], siem: str) -> Iterator[Outside]:
    """Lends the stand-ins; the SIEM is a file of JSON lines."""
    with contextlib.ExitStack() as stack:
        orchestrator, relay = _Orchestrator(deployments), _Relay()
        for server in (orchestrator, relay):
            stack.enter_context(_running(server))
        yield Outside(
            prefect_url=f"http://127.0.0.1:{orchestrator.server_address[1]}",
            channels=Channels(
                smtp=f"127.0.0.1:{relay.server_address[1]}", mail_from="drill@proofhouse.invalid",
                mail_to=("legal@proofhouse.invalid",), siem=siem,
            ),
            orders=orchestrator.orders,
            mails=relay.mails,
        )  # fmt: skip


@contextlib.contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
