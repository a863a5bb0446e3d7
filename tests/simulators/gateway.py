"""A real gateway on loopback, in a thread of the test, in front of a model without walls."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import uvicorn

from tasks.domain.bundle import ModelSpec, Subject
from tasks.domain.digest import Digest
from tasks.gateway.actions import gateway_folder
from tasks.gateway.keys import KeyRing
from tasks.gateway.parts import Parts
from tasks.gateway.policy import GatewayPolicy, Role
from tasks.gateway.service import gateway_app
from tasks.gateway.starting import Surroundings, built_gateway
from tasks.sandbox.protocol import Array, Sandbox
from tasks.store.protocol import ObjectStore
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import linear_subject, linear_weights

WIDE = Role(rate_per_second=100_000, burst=100_000)
POLICY = GatewayPolicy(roles={"internal": WIDE})


class Accepted(NamedTuple):
    """A model as if somebody had accepted it."""

    asset: str
    run: str
    subject: Digest
    spec: ModelSpec
    artifact: Digest | None
    architecture: Digest | None


class Said(NamedTuple):
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class RunningGateway:
    """Speaks to one gateway."""

    def __init__(self, parts: Parts, port: int) -> None:
        self.parts, self.port = parts, port
        self.keys = KeyRing(gateway_folder(parts.home))

    def key(self, role: str = "internal", account: str = "acme", **more: Any) -> str:
        text, _ = self.keys.add(account, role, **more)
        self.parts.keys.refresh()
        return text

    def ask(
        self, key: str, body: bytes | None = None, *, inputs: Array | None = None,
        path: str = "/v2/models/reader/infer", headers: Mapping[str, str] | None = None,
    ) -> Said:  # fmt: skip
        given = body if body is not None else question(inputs)
        return self.send("POST", path, given, {"Authorization": f"Bearer {key}", **(headers or {})})

    def act(self, key: str, action: str, **order: Any) -> Said:
        bearer = {"Authorization": f"Bearer {key}"}
        return self.send("POST", f"/admin/{action}", json.dumps(order).encode(), bearer)

    def get(self, path: str, key: str = "") -> Said:
        return self.send("GET", path, b"", {"Authorization": f"Bearer {key}"} if key else {})

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Said:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Said(response.status, told, response.read())
        finally:
            connection.close()


def question(inputs: Array | None = None, **changed: Any) -> bytes:
    """An inference request, by default about one input."""
    rows = np.full((1, 4), 0.5) if inputs is None else inputs
    tensor = {
        "name": "input-0",
        "shape": list(rows.shape),
        "datatype": "FP32",
        "data": rows.reshape(-1).tolist(),
    }
    return json.dumps({"inputs": [{**tensor, **changed}]}).encode()


def accepted(store: ObjectStore, *, run: str = "run-1", weights: bytes | None = None) -> Accepted:
    """A model as if somebody had accepted it; evidence is not what these tests are about."""
    subject: Subject = linear_subject(store, weights=weights or linear_weights(4.0))
    spec = subject.spec.model
    digests = {entry.path: entry.digest for entry in subject.files}
    return Accepted(
        asset=subject.spec.asset,
        run=run,
        subject=store.put(subject.canonical()).digest,
        spec=spec,
        artifact=digests[spec.artifact or ""],
        architecture=digests[spec.architecture or ""],
    )


@contextlib.contextmanager
def running_gateway(
    home: Path,
    *,
    policy: GatewayPolicy = POLICY,
    store: ObjectStore | None = None,
    sandbox: Sandbox | None = None,
    canary: bool = False,
    redis: str = "",
    vouch: Callable[[str], object] | None = None,
) -> Iterator[RunningGateway]:
    """Lends a gateway that serves ``reader``."""
    store = store or MemoryStore()
    around = Surroundings(
        home, store, sandbox or DirectSandbox(), redis=redis, vouch=vouch, vouch_seconds=0.05
    )
    second = accepted(store, run="run-2", weights=linear_weights(8.0)) if canary else None
    parts = built_gateway(accepted(store), second, policy, around)
    config = uvicorn.Config(
        gateway_app(parts), port=0, log_level="warning", access_log=False, ws="none",
        h11_max_incomplete_event_size=16 << 10, lifespan="on",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, what="the gateway")
        yield RunningGateway(parts, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=60)


def wait_for(true: Any, *, what: str, seconds: float = 60) -> None:
    """Waits until ``true()``."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def outputs(said: Said) -> dict[str, Sequence[float]]:
    """The output tensors of an answer by name."""
    return {tensor["name"]: tensor["data"] for tensor in said.document["outputs"]}
