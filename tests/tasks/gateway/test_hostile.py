"""Hostile requests: each gets its status and its reason, and the gateway goes on."""

import json
import socket
from collections.abc import Iterator

import numpy as np
import pytest

from tasks.gateway.policy import Bounds, GatewayPolicy
from tests.simulators.gateway import WIDE, RunningGateway, question, running_gateway

POLICY = GatewayPolicy(
    roles={"internal": WIDE}, bounds=Bounds(body_bytes=65536, items=8, read_seconds=1)
)
PATH = "/v2/models/reader/infer"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("home"), policy=POLICY) as running:
        yield running


@pytest.fixture
def key(gateway: RunningGateway) -> Iterator[str]:
    key = gateway.key()
    yield key
    assert gateway.ask(key).status == 200  # it goes on


FOUR = [0.5] * 4
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\x80\x04\x95pickle",
    "a list": b"[1, 2]",
    "no inputs": b"{}",
    "inputs that are no list": b'{"inputs": {"data": []}}',
    "a tensor that is no object": b'{"inputs": [5]}',
    "two tensors": json.dumps({"inputs": [{}, {}]}).encode(),
    "no data": question(data=None),
    "data that is text": question(data="0.5,0.5"),
    "texts": question(data=["0.5"] * 4),
    "text among numbers": question(data=[0.5, 0.5, 0.5, "1e999"]),
    "null among numbers": question(data=[0.5, 0.5, 0.5, None]),
    "only truth values": question(data=[True] * 4),
    "an object among numbers": question(data=[0.5, 0.5, 0.5, {}]),
    "NaN": question(data=FOUR).replace(b"0.5", b"NaN", 1),
    "infinity": question(data=FOUR).replace(b"0.5", b"Infinity", 1),
    "a number beyond any float": question(data=FOUR).replace(b"0.5", b"1e400", 1),
    "a number beyond float32": question(data=FOUR).replace(b"0.5", b"1e300", 1),
    "an integer of 10^5 digits": question(data=FOUR).replace(b"0.5", b"1" * 60000, 1),
    "out of range": question(data=[0.5, 0.5, 0.5, 1.5]),
    "too few numbers": question(data=[0.5] * 3),
    "too many numbers": question(data=[0.5] * 5),
    "uneven lists": question(data=[[0.5, 0.5], [0.5], [0.5]]),
    "the wrong rank": question(shape=[4]),
    "the wrong side": question(shape=[1, 5]),
    "no items": question(np.zeros((0, 4))),
    "too many items": question(np.full((9, 4), 0.5)),
    "2^62 items": question(shape=[1 << 62, 4]),
    "a negative side": question(shape=[-1, 4]),
    "a fraction of an item": question(shape=[1.0, 4]),
    "a shape of truth values": question(shape=[True, 4]),
    "a shape that is text": question(shape="1,4"),
    "an unknown datatype": question(datatype="BYTES"),
    "no datatype": question(datatype=None),
    "depth": b'{"inputs":' + b"[" * 30000 + b"]" * 30000 + b"}",
    "depth in the data": question(data=FOUR).replace(b"[0.5", b"[" * 900 + b"0.5", 1),
    "half a character": b'{"inputs": "\\ud800"}',
    "not UTF-8": b'{"inputs": "\xff"}',
    "an id with escape codes": question().replace(b'{"inputs"', b'{"id":"\\u001b[2J","inputs"'),
    "an id that is endless": question().replace(
        b'{"inputs"', b'{"id":"' + b"a" * 200 + b'","inputs"'
    ),
    "an id that is no text": question().replace(b'{"inputs"', b'{"id":[1],"inputs"'),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_a_bad_request(gateway: RunningGateway, key: str, name: str) -> None:
    said = gateway.ask(key, BODIES[name])
    assert (said.status, said.document["reason"]) == (400, "request")
    assert len(said.body) < 400


def test_a_huge_body_is_not_read(gateway: RunningGateway, key: str) -> None:
    assert gateway.ask(key, b"x" * 65537).status == 413
    head = f"POST {PATH} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {key}\r\n"
    endless = raw(gateway, f"{head}Content-Length: 99999999999999999999\r\n\r\n".encode())
    assert endless.startswith(b"HTTP/1.1 4")
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    chunked = raw(gateway, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 3)
    assert b" 413 " in chunked.splitlines()[0]


def test_a_body_that_drips_is_given_up(gateway: RunningGateway, key: str) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {key}\r\n"
    said = raw(gateway, f"{head}Content-Length: 100\r\n\r\nx".encode())
    assert b" 408 " in said.splitlines()[0]


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: -1",
        "Content-Length: 0x10",
        "Transfer-Encoding: gzip, chunked",
        "Bad Header: 1",
        "X: " + "a" * 70000,
        "\r\n".join(f"X-{n}: {'a' * 100}" for n in range(600)),
    ],
)
def test_header_tricks_are_refused(gateway: RunningGateway, key: str, headers: str) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {key}\r\n"
    said = raw(gateway, f"{head}{headers}\r\n\r\n{{}}".encode())
    assert said.startswith(b"HTTP/1.1 4"), said[:100]
    assert said.count(b"HTTP/1.1") == 1  # no second request was smuggled in


def test_two_authorizations_are_one_too_many(gateway: RunningGateway, key: str) -> None:
    body = question()
    head = f"POST {PATH} HTTP/1.1\r\nHost: g\r\nContent-Length: {len(body)}\r\n"
    both = f"Authorization: Bearer {key}\r\nAuthorization: Bearer x\r\n\r\n"
    assert b" 400 " in raw(gateway, (head + both).encode() + body).splitlines()[0]


def test_compressed_bodies_are_not_opened(gateway: RunningGateway, key: str) -> None:
    assert gateway.ask(key, b"\x1f\x8b", headers={"Content-Encoding": "gzip"}).status == 415


@pytest.mark.parametrize(
    "path",
    ["/v2/models/%2e%2e/infer", "/v2/models/reader%00/infer", "/v2/models/../admin/infer", "//",
     "/v2/models/" + "a" * 4000 + "/infer", "/docs", "/openapi.json"],
)  # fmt: skip
def test_other_paths_are_not_found(gateway: RunningGateway, key: str, path: str) -> None:
    assert gateway.ask(key, path=path).status in {404, 405}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "TRACE", "PATCH"])
def test_other_methods_are_not_allowed(gateway: RunningGateway, key: str, method: str) -> None:
    bearer = {"Authorization": f"Bearer {key}"}
    assert gateway.send(method, PATH, b"", bearer).status == 405


def test_whoever_hangs_up_disturbs_nobody(gateway: RunningGateway, key: str) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {key}\r\n"
    for sent in (b"", b"POST", f"{head}Content-Length: 500\r\n\r\n{{".encode()):
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(sent)


def test_no_message_repeats_what_was_sent(gateway: RunningGateway, key: str) -> None:
    said = gateway.ask(key, question(datatype="<script>alert(1)</script>"))
    assert b"<script>" not in said.body


def raw(gateway: RunningGateway, sent: bytes) -> bytes:
    """Sends bytes and returns all that comes back until the gateway hangs up or is silent."""
    received = b""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection:
        connection.sendall(sent)
        while chunk := _received(connection):
            received += chunk
            connection.settimeout(0.5)  # a second answer would come at once
    return received


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except (TimeoutError, ConnectionResetError):
        return b""
