"""What is believed, what is refused, and that the same event counts once."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest

from tasks.domain.errors import StoreNotAnsweringError
from tasks.events.authenticating import bucket_token, make_secret
from tasks.events.reading import MOST_BYTES, Notice, Place
from tasks.events.receiver import Desk, make_app
from tests.simulators.store import MemoryStore
from tests.tasks.events.webhooks import (
    MLFLOW,
    NOW,
    PUSH,
    SECRET,
    generic_headers,
    git_headers,
    mlflow_headers,
    notification,
    record,
)

PLACES = (Place("intake", "bundles"),)


class Office:
    """A receiver, and what it handed on."""

    def __init__(self, **changed: Any) -> None:
        self.notices: list[Notice] = []
        told: dict[str, Any] = {
            "secret": SECRET, "places": PLACES, "store": MemoryStore(),
            "emit": self.notices.append, "clock": lambda: NOW,
        }  # fmt: skip
        self.app = make_app(Desk(**(told | changed)))

    def post(self, kind: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.ask("POST", f"/events/{kind}", content=body, headers=headers or {})

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())


def test_an_object_in_a_place_becomes_a_notice_about_its_drop() -> None:
    office = Office()
    answer = office.post("s3", notification(record("bundles/acme%20vision/model/a.onnx")))
    assert (answer.status_code, answer.json()) == (200, {"new": 1, "known": 0})
    [notice] = office.notices
    assert notice.event == "proofhouse.drop.changed"
    assert notice.payload == {"place": "s3://intake/bundles", "drop": "acme vision"}
    assert notice.resource == "proofhouse.drop.s3://intake/bundles/acme vision"


@pytest.mark.parametrize(
    "told",
    [
        record("elsewhere/acme/bundle.yaml"),
        record("bundles/.hidden"),
        record(eventName="ObjectRemoved:Delete"),
        record("bundles"),
    ],
    ids=["another prefix", "hidden", "removed", "the prefix itself"],
)
def test_what_is_nobodys_business_is_skipped(told: dict[str, Any]) -> None:
    office = Office()
    assert office.post("s3", notification(told)).json() == {"new": 0, "known": 0}
    assert office.notices == []


def test_a_marker_speaks_of_the_drop_beside_it() -> None:
    office = Office()
    office.post("s3", notification(record("bundles/acme.ready")))
    assert office.notices[0].payload["drop"] == "acme"


def test_the_same_event_a_hundred_times_is_one() -> None:
    office = Office()
    answers = [office.post("s3", notification(record())).json() for _ in range(100)]
    assert sum(answer["new"] for answer in answers) == 1
    assert len(office.notices) == 1


def test_events_in_any_order_lead_to_the_same_notices() -> None:
    told = [record(f"bundles/acme/{name}") for name in "abcdef"] * 3
    seen = []
    for seed in range(3):
        office = Office()
        random.Random(seed).shuffle(told)  # noqa: S311 - an order, not a secret
        for one in told:
            office.post("s3", notification(one))
        seen.append({notice.identity for notice in office.notices})
        assert len(office.notices) == 6
    assert seen[0] == seen[1] == seen[2]


def test_mlflow_git_and_signed_relays_are_believed() -> None:
    office = Office()
    assert office.post("mlflow", MLFLOW, mlflow_headers(MLFLOW)).json() == {"new": 1, "known": 0}
    assert office.post("git", PUSH, git_headers(PUSH)).json() == {"new": 1, "known": 0}
    relayed = notification(record(opaqueData=""))
    answer = office.post("generic", relayed, generic_headers(relayed))
    assert answer.json() == {"new": 1, "known": 0}
    assert [notice.event for notice in office.notices] == [
        "proofhouse.mlflow.model_version_alias.created",
        "proofhouse.git.push",
        "proofhouse.drop.changed",
    ]
    assert office.notices[1].payload["repository"] == "acme/catalogs"


def test_mlflows_own_signer_is_believed() -> None:
    delivery = pytest.importorskip("mlflow.webhooks.delivery", reason="MLflow is an extra")
    office = Office()
    made = delivery._generate_hmac_signature(
        SECRET.decode(), "delivery-1", str(int(NOW)), MLFLOW.decode()
    )
    headers = mlflow_headers(MLFLOW) | {"x-mlflow-signature": made}
    assert office.post("mlflow", MLFLOW, headers).status_code == 200


OTHER = b"another secret"
RELAY = notification(record(opaqueData=""))
REFUSED: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "no token": ("s3", notification(record(opaqueData="")), {}),
    "a token of another bucket": (
        "s3", notification(record(opaqueData=bucket_token(SECRET, "other"))), {}),
    "one good record and one without": (
        "s3", notification(record(), record(opaqueData="")), {}),
    "unsigned relay": ("generic", RELAY, {}),
    "another secret": ("generic", RELAY, generic_headers(RELAY, secret=OTHER)),
    "an old relay": ("generic", RELAY, generic_headers(RELAY, NOW - 301)),
    "a relay from the future": ("generic", RELAY, generic_headers(RELAY, NOW + 301)),
    "another body": ("generic", RELAY + b" ", generic_headers(RELAY)),
    "a timestamp that is none": (
        "generic", RELAY, generic_headers(RELAY) | {"x-proofhouse-timestamp": "soon"}),
    "mlflow, old": ("mlflow", MLFLOW, mlflow_headers(MLFLOW, NOW - 301)),
    "mlflow, another delivery": (
        "mlflow", MLFLOW, mlflow_headers(MLFLOW) | {"x-mlflow-delivery-id": "delivery-2"}),
    "mlflow, another secret": ("mlflow", MLFLOW, mlflow_headers(MLFLOW, secret=OTHER)),
    "git, another secret": ("git", PUSH, git_headers(PUSH, OTHER)),
    "git, unsigned": ("git", PUSH, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_authentic_is_refused_and_nothing_is_handed_on(name: str) -> None:
    kind, body, headers = REFUSED[name]
    office = Office()
    answer = office.post(kind, body, headers)
    assert (answer.status_code, answer.json()) == (401, {"error": "not authentic"})
    assert office.notices == []


NONSENSE = {
    "no JSON": b"{",
    "a list": b"[]",
    "no records": b'{"Records": 3}',
    "a record without an object": notification({"s3": {}}),
    "doubled keys": b'{"Records": [], "Records": []}',
    "too deep": b'{"Records":' + b"[" * 5000 + b"]" * 5000 + b"}",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_what_makes_no_sense_is_bad_input(name: str) -> None:
    office = Office()
    assert office.post("s3", NONSENSE[name]).status_code == 400
    assert office.notices == []


def test_too_long_and_unknown_kinds_are_refused() -> None:
    office = Office()
    assert office.post("s3", b" " * (MOST_BYTES + 1)).status_code == 413
    assert office.post("smtp", b"{}").status_code == 404
    assert office.ask("GET", "/health").json() == {"ok": True}


def test_an_event_that_could_not_be_handed_on_is_new_the_next_time() -> None:
    down = True
    handed: list[Notice] = []

    def emit(notice: Notice) -> None:
        if down:
            raise StoreNotAnsweringError("the server is gone")
        handed.append(notice)

    office = Office(emit=emit)
    assert office.post("s3", notification(record())).status_code == 503
    down = False
    assert office.post("s3", notification(record())).json() == {"new": 1, "known": 0}
    assert office.post("s3", notification(record())).json() == {"new": 0, "known": 1}
    assert len(handed) == 1


def test_a_new_version_of_a_key_is_a_new_event() -> None:
    office = Office()
    newer = record()
    newer["s3"]["object"] = newer["s3"]["object"] | {"versionId": "v2", "eTag": "e2"}
    for told in (record(), newer, record()):
        office.post("s3", notification(told))
    assert len(office.notices) == 2
    assert json.loads(json.dumps(office.notices[0].payload))["drop"] == "acme"


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    first = make_secret(tmp_path)
    assert make_secret(tmp_path) == first
    assert len(first) >= 32
    assert (tmp_path / "secrets" / "events").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["events"]
