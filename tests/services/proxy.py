"""A wire that can be broken: an HTTP proxy in front of a real server, on loopback."""

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["busy", "broken", "truncate", "flip", "flip_upload", "lose_answer"]
"""503 SlowDown and 500 unasked; half the answer; one bit of the answer or of the upload flipped;
done, but the answer is lost."""
_STATUS: dict[str | None, tuple[int, str]] = {
    "busy": (503, "SlowDown"),
    "broken": (500, "InternalError"),
}


class Proxy:
    """Forwards everything; the next requests that match meet the queued faults."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.faults: list[Fault] = []
        self.matches: Callable[[str, str], bool] = lambda _method, _path: True
        self.requests = 0
        self._lock = threading.Lock()

    def break_next(self, *faults: Fault, method: str, part: str = "") -> None:
        """Queues faults for requests of ``method`` whose path contains ``part``."""
        self.matches = lambda asked, path: asked == method and part in path
        self.faults = list(faults)
        self.requests = 0

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_fault(self, method: str, path: str) -> Fault | None:
        with self._lock:
            if not self.matches(method, path):
                return None
            self.requests += 1
            return self.faults.pop(0) if self.faults else None

    def forward(
        self, request: BaseHTTPRequestHandler, fault: Fault | None
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if fault == "flip_upload":
            body = _flipped(body)
        headers = {key: value for key, value in request.headers.items() if key != "Expect"}
        wire = http.client.HTTPConnection("127.0.0.1", self._target, timeout=30)
        with contextlib.closing(wire):
            wire.request(request.command, request.path, body, headers)
            answer = wire.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.close_connection = True
                fault = proxy.next_fault(self.command, self.path)
                if fault in _STATUS:
                    status, code = _STATUS[fault]
                    body = f"<Error><Code>{code}</Code></Error>".encode()
                    self.reply(status, [], body, len(body))
                    return
                status, headers, body = proxy.forward(self, fault)
                size = len(body)
                if fault == "lose_answer":
                    return
                if fault == "truncate":
                    body = body[: size // 2]
                if fault == "flip":
                    body = _flipped(body)
                self.reply(status, headers, body, size)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815 - fixed names

            def reply(
                self, status: int, headers: list[tuple[str, str]], body: bytes, size: int
            ) -> None:
                self.send_response_only(status)
                for key, value in headers:
                    if key.lower() not in {"content-length", "connection", "transfer-encoding"}:
                        self.send_header(key, value)
                length = dict(headers).get("Content-Length", size) if not body else size
                self.send_header("Content-Length", str(length))
                self.send_header("Connection", "close")
                self.end_headers()
                with contextlib.suppress(OSError):  # a client that noticed damage hangs up
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keeps quiet."""

        return Handler


def _flipped(body: bytes) -> bytes:
    return body[:-1] + bytes([body[-1] ^ 1])


@contextlib.contextmanager
def running_proxy(port: int) -> Iterator[Proxy]:
    """Lends a proxy to ``port``."""
    proxy = Proxy(port)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(5)
