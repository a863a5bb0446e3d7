"""A model server on loopback that does what it is told, good or bad."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from tasks.sandbox.protocol import Array

Model = Callable[[Array], Array]


class Served(BaseHTTPRequestHandler):
    """One connection; what happens to a question is up to the server's ``behave``."""

    protocol_version = "HTTP/1.1"
    server: "ModelServer"
    body: bytes = b""

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked += 1
        self.server.paths.append(self.path)
        self.server.seen_headers.append(dict(self.headers.items()))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.server.behave(self)

    def say(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def say_json(self, value: Any, status: int = 200, **headers: str) -> None:
        self.say(json.dumps(value).encode(), status, **headers)

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002
        pass


Behaviour = Callable[[Served], None]


class ModelServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, behave: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Served)
        self.behave = behave
        self.asked = 0
        self.paths: list[str] = []
        self.seen_headers: list[dict[str, str]] = []
        self.stop = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v2/models/digits/infer"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up early is what some tests are about


@contextlib.contextmanager
def serving(behave: Behaviour) -> Iterator[ModelServer]:
    server = ModelServer(behave)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


def inputs_of(served: Served) -> Array:
    """Reads a question in the Open Inference Protocol."""
    (tensor,) = json.loads(served.body)["inputs"]
    assert tensor["datatype"] == "FP32"
    return np.array(tensor["data"], np.float32).reshape(tensor["shape"])


def v2(model: Model) -> Behaviour:
    """Answers in the Open Inference Protocol."""

    def behave(served: Served) -> None:
        scores = model(inputs_of(served))
        whole = scores.dtype.kind == "i"
        output = {
            "name": "scores",
            "shape": list(scores.shape),
            "datatype": "INT64" if whole else "FP32",
            "data": scores.reshape(-1).tolist(),
        }
        served.say_json({"model_name": "digits", "outputs": [output]})

    return behave


def linear(inputs: Array) -> Array:
    """Three scores from the first three numbers of each item."""
    scores: Array = inputs.reshape(len(inputs), -1)[:, :3] * 4
    return scores
