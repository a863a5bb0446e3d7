"""Small servers of the kinds that responses talk to, on loopback, keeping what they are told."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    """An HTTP server that keeps requests, and pretends to be a Prefect API with two deployments."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, str], Any]] = []
        self.status = 200
        self.deployments: list[dict[str, Any]] = [
            {"id": "d-1", "name": "onboard-model", "paused": False},
            {"id": "d-2", "name": "assess-asset", "paused": True},
        ]
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        value = json.loads(body or b"null")
        self.server.heard.append((self.command, self.path, dict(self.headers), value))
        answer: Any = {"ok": True}
        if self.path == "/deployments/filter":
            answer = self.server.deployments
        elif self.path.endswith("/create_flow_run"):
            answer = {"id": "f-1", "name": "brave-newt"}
        elif self.command == "PATCH":
            chosen = self.path.rpartition("/")[2]
            for row in self.server.deployments:
                if row["id"] == chosen:
                    row["paused"] = value["paused"]
        data = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_PATCH = do_POST  # noqa: N815 - fixed by the library

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


class _Mail(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        say, lines = self.wfile.write, iter(self.rfile.readline, b"")
        say(b"220 test\r\n")
        for line in lines:
            word = line[:4].upper()
            if word == b"DATA":
                say(b"354 go on\r\n")
                mail = b"".join(iter(lambda: next(lines), b".\r\n"))
                self.server.mails.append(mail.decode())  # type: ignore[attr-defined]
            if word == b"QUIT":
                say(b"221 bye\r\n")
                return
            say(b"250 ok\r\n")


class _Syslog(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.server.lines.append(self.rfile.read())  # type: ignore[attr-defined]


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def mail_server() -> Any:
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail)
    server.mails = []
    return server


def syslog_server() -> Any:
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Syslog)
    server.lines = []
    return server
