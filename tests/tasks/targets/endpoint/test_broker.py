"""The broker against a real server on loopback that misbehaves in every way."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.domain.bundle import ModelSpec
from tasks.domain.errors import (
    EndpointAnswerError,
    EndpointBudgetError,
    EndpointDownError,
    EndpointError,
    EndpointRefusedError,
    EndpointTimeoutError,
)
from tasks.targets.endpoint.addresses import reach_of
from tasks.targets.endpoint.broker import Broker, Terms
from tests.simulators.endpoint import Behaviour, ModelServer, Served, linear, serving, v2

ITEMS = np.random.default_rng(0).random((5, 4)).astype(np.float32)


def model(url: str, **endpoint: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "reader",
            "version": "1",
            "task": "classification",
            "endpoint": {"url": url, "timeout_seconds": 0.5, "batch": 2, **endpoint},
            "input": {"shape": [4]},
            "output": {"kind": "logits", "classes": 3},
        }
    )


def terms(server: ModelServer, **more: Any) -> Terms:
    return Terms(reach=reach_of(f"127.0.0.1:{server.port}"), **more)


def asked(server: ModelServer, slept: list[float] | None = None, **more: Any) -> Any:
    broker = Broker(
        model(server.url, **more.pop("endpoint", {})),
        terms(server, **more),
        sleep=(lambda _: None) if slept is None else slept.append,
    )
    try:
        return broker.answer({"inputs": ITEMS}, {}).arrays["answers"], broker
    finally:
        broker.close()


def test_asks_in_batches_over_one_connection() -> None:
    with serving(v2(linear)) as server:
        answers, broker = asked(server)
        assert server.asked == 3
    np.testing.assert_array_equal(answers, linear(ITEMS))
    assert broker.queries == 5


def test_nothing_is_asked_that_is_not_listed() -> None:
    with serving(v2(linear)) as server:
        broker = Broker(model(server.url), Terms(reach=reach_of("models.example")))
        with pytest.raises(EndpointRefusedError, match="not a public address"):
            broker.answer({"inputs": ITEMS}, {})
        assert server.asked == 0


def test_the_name_is_resolved_once_and_not_trusted_again() -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    with serving(v2(linear)) as server:
        url = server.url.replace("127.0.0.1", "models.example")
        resolved: list[list[str]] = []

        def resolve(*_: Any) -> list[str]:
            resolved.append(next(answers))
            return resolved[-1]

        broker = Broker(model(url), terms(server), resolve=resolve)
        broker.answer({"inputs": ITEMS}, {})
        assert resolved == [["127.0.0.1"]]
        assert server.seen_headers[0]["Host"] == f"models.example:{server.port}"
        broker.close()


def slow_loris(served: Served) -> None:
    served.send_response(200)
    served.send_header("Content-Length", "1000")
    served.end_headers()
    while not served.server.stop.wait(0.05):
        served.wfile.write(b" ")


def slow_headers(served: Served) -> None:
    served.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not served.server.stop.wait(0.05):
        served.wfile.write(b"X-More: 1\r\n")


def silent(served: Served) -> None:
    served.server.stop.wait(5)


def huge(served: Served) -> None:
    served.send_response(200)
    served.send_header("Transfer-Encoding", "chunked")
    served.end_headers()
    while not served.server.stop.is_set():
        served.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def many_headers(served: Served) -> None:
    served.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not served.server.stop.is_set():
        served.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")


def hang_up(served: Served) -> None:
    served.close_connection = True


def not_http(served: Served) -> None:
    served.wfile.write(b"220 smtp ready\r\n")
    served.close_connection = True


def text(body: bytes, status: int = 200, **headers: str) -> Behaviour:
    return lambda served: served.say(body, status, **headers)


ONE = b'{"outputs":[{"name":"y","shape":[1,3],"data":[1,2,3]}]}'
TROUBLE: dict[str, tuple[Behaviour, type[EndpointError]]] = {
    "drips its body": (slow_loris, EndpointTimeoutError),
    "drips its headers": (slow_headers, EndpointTimeoutError),
    "says nothing": (silent, EndpointTimeoutError),
    "never stops": (huge, EndpointAnswerError),
    "never stops its headers": (many_headers, EndpointAnswerError),
    "hangs up": (hang_up, EndpointDownError),
    "speaks something else": (not_http, EndpointAnswerError),
    "garbage": (text(b"<html>"), EndpointAnswerError),
    "too few answers": (text(ONE), EndpointAnswerError),
    "compressed": (text(b"x", content_encoding="gzip"), EndpointAnswerError),
    "redirects": (text(b"", 302, location="http://169.254.169.254/"), EndpointAnswerError),
    "redirects to itself": (text(b"", 307, location="/other"), EndpointAnswerError),
    "forbids": (text(b"no key", 403), EndpointRefusedError),
    "always busy": (text(b"later", 429), EndpointDownError),
    "busy for an hour": (text(b"later", 503, retry_after="3600"), EndpointDownError),
    "broken": (text(b"\x1b[31mred", 500), EndpointDownError),
}


@pytest.mark.parametrize(("behave", "kind"), TROUBLE.values(), ids=TROUBLE.keys())
def test_trouble_is_a_clear_error_in_bounded_time(
    behave: Behaviour, kind: type[EndpointError]
) -> None:
    started = time.monotonic()
    with serving(behave) as server, pytest.raises(EndpointError) as caught:
        asked(server, seconds=30.0, endpoint={"timeout_seconds": 0.2})
    assert type(caught.value) is kind, caught.value
    assert caught.value.message.isprintable()
    assert time.monotonic() - started < 20  # less than the 30 s that it may take in all
    assert server.paths == ["/v2/models/digits/infer"] * server.asked


def test_the_next_address_is_tried_when_one_is_dead() -> None:
    with serving(v2(linear)) as server:
        url = server.url.replace("127.0.0.1", "models.example")
        granted = terms(server)._replace(reach=reach_of(f"127.0.0.0/8:{server.port}"))
        found = ["127.0.0.9", "127.0.0.1"]
        broker = Broker(model(url), granted, resolve=lambda *_: found, sleep=lambda _: None)
        answers = broker.answer({"inputs": ITEMS}, {}).arrays["answers"]
        broker.close()
    np.testing.assert_array_equal(answers, linear(ITEMS))


def test_nobody_there() -> None:
    with serving(v2(linear)) as server:
        url, granted = server.url, terms(server)
    with pytest.raises(EndpointDownError):
        Broker(model(url), granted, sleep=lambda _: None).answer({"inputs": ITEMS}, {})


def busy_first(times: int, status: int = 429, **headers: str) -> Behaviour:
    good = v2(linear)

    def behave(served: Served) -> None:
        if served.server.asked <= times:
            served.say(b"later", status, **headers)
        else:
            good(served)

    return behave


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [({}, 0.5, 1.0), ({"retry_after": "7"}, 7, 7.5), ({"retry_after": "soon"}, 0.5, 1.0)],
    ids=["by itself", "as asked", "nonsense"],
)
def test_waits_and_asks_again(headers: dict[str, str], least: float, most: float) -> None:
    slept: list[float] = []
    with serving(busy_first(1, status=429, **headers)) as server:
        answers, broker = asked(server, slept)
    np.testing.assert_array_equal(answers, linear(ITEMS))
    assert least <= slept[0] <= most
    assert broker.queries == 7  # what was asked in vain counts as well
    assert broker.retries == 1


def test_the_budget_is_counted_and_enforced() -> None:
    with serving(v2(linear)) as server, pytest.raises(EndpointBudgetError, match="4 queries"):
        asked(server, queries=4)
    assert server.asked == 2


def test_time_is_limited_in_total() -> None:
    with serving(busy_first(3)) as server, pytest.raises((EndpointBudgetError, EndpointDownError)):
        asked(server, seconds=0.7)


def test_keeps_to_the_declared_rate() -> None:
    slept: list[float] = []
    with serving(v2(linear)) as server:
        asked(server, slept, endpoint={"queries_per_second": 10})
    assert len(slept) == 2
    assert 0.05 < slept[0] <= 0.2
    assert 0.2 < slept[1] <= 0.4


def test_a_secret_comes_from_the_operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROOFHOUSE_ENDPOINT_ACME", " s3cret\n")
    (tmp_path / "acme-key").write_text("other\n")
    with serving(v2(linear)) as server:
        asked(server, endpoint={"auth": {"env": "PROOFHOUSE_ENDPOINT_ACME"}})
        auth = {"file": "acme-key", "header": "X-Api-Key", "scheme": ""}
        asked(server, endpoint={"auth": auth}, secrets=tmp_path)
        assert server.seen_headers[0]["Authorization"] == "Bearer s3cret"
        assert server.seen_headers[-1]["X-Api-Key"] == "other"


def test_a_secret_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROOFHOUSE_ENDPOINT_ACME", "s3cret")
    auth = {"auth": {"env": "PROOFHOUSE_ENDPOINT_ACME"}}
    with pytest.raises(EndpointRefusedError, match="that the operator listed"):
        Broker(model("https://evil.example/", **auth), Terms())
    plain = Terms(reach=reach_of("models.example"))
    with pytest.raises(EndpointRefusedError, match="https only"):
        Broker(model("http://models.example/", **auth), plain)
    missing = {"auth": {"file": "nothing"}}
    with pytest.raises(EndpointRefusedError, match="not set"):
        Broker(model("https://models.example/", **missing), plain._replace(secrets=tmp_path))


BAD_SECRETS: dict[str, dict[str, str]] = {
    "somebody else's variable": {"env": "AWS_SECRET_ACCESS_KEY"},
    "a setting": {"env": "PROOFHOUSE_SIGNER"},
    "outside the folder": {"file": "../keys/signing.pem"},
    "a header that rules the exchange": {"env": "PROOFHOUSE_ENDPOINT_A", "header": "Host"},
    "two lines": {"env": "PROOFHOUSE_ENDPOINT_A", "scheme": "a\r\nX: y"},
    "both": {"env": "PROOFHOUSE_ENDPOINT_A", "file": "x"},
    "neither": {},
}


@pytest.mark.parametrize("auth", BAD_SECRETS.values(), ids=BAD_SECRETS.keys())
def test_a_bundle_cannot_name_other_secrets(auth: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="auth"):
        model("https://models.example/", auth=auth)


ODD_QUESTIONS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "other shape": lambda: np.zeros((1, 5), np.float32),
    "no items": lambda: np.zeros((0, 4), np.float32),
    "not numbers": lambda: np.full((1, 4), np.nan, np.float32),
}


@pytest.mark.parametrize("make", ODD_QUESTIONS.values(), ids=ODD_QUESTIONS.keys())
def test_a_child_cannot_ask_nonsense(make: Callable[[], Any]) -> None:
    with serving(v2(linear)) as server:
        broker = Broker(model(server.url), terms(server))
        inputs = make()
        with pytest.raises(EndpointAnswerError, match="the child asked"):
            broker.answer({} if inputs is None else {"inputs": inputs}, {})
        assert server.asked == 0


def test_another_protocol_by_mapping() -> None:
    def behave(served: Served) -> None:
        rows = np.array(json.loads(served.body)["instances"])
        served.say_json({"predictions": [{"p": row} for row in linear(rows).tolist()]})

    with serving(behave) as server:
        answers, _ = asked(server, endpoint={"protocol": "json", "mapping": {"each": "p"}})
    np.testing.assert_allclose(answers, linear(ITEMS), rtol=1e-6)
