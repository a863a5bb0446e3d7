"""The service over real HTTP: what is answered, to whom, and what it shows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.domain.bundle import OutputSpec
from tasks.gateway.policy import FilterStep, GatewayPolicy, Role
from tests.simulators.gateway import (
    WIDE,
    RunningGateway,
    outputs,
    question,
    running_gateway,
    wait_for,
)

POLICY = GatewayPolicy(
    roles={
        "internal": WIDE,
        "partner": WIDE.model_copy(
            update={
                "filters": (
                    FilterStep(name="top_k", settings={"k": 2}),
                    FilterStep(name="rounding", settings={"decimals": 1}),
                )
            }
        ),
        "blind": WIDE.model_copy(update={"filters": (FilterStep(name="label_only"),)}),
        "slow": Role(rate_per_second=0.001, burst=3),
        "rationed": Role(rate_per_second=1e6, burst=10, quota=5, alert_at=4),
    },
    canary_segments=("beta",),
    canary_percent=0,
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("home"), policy=POLICY) as running:
        yield running


def test_answers_every_class_in_order_to_those_who_may_see_it(gateway: RunningGateway) -> None:
    inputs = np.eye(3, 4)
    said = gateway.ask(gateway.key("internal"), inputs=inputs)
    assert said.status == 200, said.body
    tensors = outputs(said)
    assert list(tensors["labels"]) == [0, 1, 2]
    probabilities = np.reshape(tensors["probabilities"], (3, 3))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    wanted = np.exp(4) / (np.exp(4) + 2)  # a linear model that answers 4 for the right class
    np.testing.assert_allclose(np.diag(probabilities), wanted, rtol=1e-5)


def test_a_model_that_gives_labels_shows_no_made_up_vector(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = gateway.parts.routes.champion
    labels = route.spec.model_copy(update={"output": OutputSpec(kind="labels", classes=3)})
    monkeypatch.setattr(gateway.parts.routes, "champion", route._replace(spec=labels))
    tensors = outputs(gateway.ask(gateway.key("internal"), inputs=np.eye(3, 4)))
    assert {name: list(values) for name, values in tensors.items()} == {"labels": [0, 1, 2]}
    told = gateway.get("/v2/models/reader", gateway.key("internal")).document
    assert [one["name"] for one in told["outputs"]] == ["labels"]


def test_partners_see_the_likeliest_rounded_and_the_blind_see_labels(
    gateway: RunningGateway,
) -> None:
    tensors = outputs(gateway.ask(gateway.key("partner", "p"), inputs=np.eye(3, 4)[1:2]))
    assert tensors["labels"][0] == 1
    assert len(tensors["labels"]) == 2
    assert tensors["probabilities"][0] == 1.0  # 0.965
    assert set(outputs(gateway.ask(gateway.key("blind", "b")))) == {"labels"}


def test_the_request_id_comes_back(gateway: RunningGateway) -> None:
    body = question().replace(b'{"inputs"', b'{"id":"abc","inputs"')
    assert gateway.ask(gateway.key(), body).document["id"] == "abc"


@pytest.mark.parametrize("key", ["", "phk_000000000000_" + "A" * 43, "x", "phk_" + "é" * 60])
def test_nobody_is_answered_without_a_key(gateway: RunningGateway, key: str) -> None:
    bearer = {"Authorization": f"Bearer {key}".encode().decode("latin-1")}
    said = gateway.send("POST", "/v2/models/reader/infer", question(), bearer)
    assert said.status == 401
    assert said.headers["www-authenticate"] == "Bearer"
    assert gateway.get("/v2/models/reader").status == 401


def test_a_key_whose_secret_differs_is_none(gateway: RunningGateway) -> None:
    key = gateway.key()
    assert gateway.ask(key[:-2] + ("AA" if not key.endswith("AA") else "BB")).status == 401


def test_an_expired_key_is_none(gateway: RunningGateway) -> None:
    key = gateway.key("internal", "late", days=1e-9)
    assert gateway.ask(key).status == 401


def test_another_name_is_not_found(gateway: RunningGateway) -> None:
    key = gateway.key()
    assert gateway.ask(key, path="/v2/models/other/infer").status == 404
    assert gateway.get("/v2/models/other", key).status == 404


def test_health_and_metadata_follow_the_protocol(gateway: RunningGateway) -> None:
    assert gateway.get("/v2/health/live").document == {"live": True}
    assert gateway.get("/v2/health/ready").document == {"ready": True}
    told = gateway.get("/v2/models/reader", gateway.key()).document
    assert told["inputs"][0]["shape"] == [-1, 4]
    assert told["versions"] == ["run-1"]


def test_metrics_are_for_admins_and_monitors(gateway: RunningGateway) -> None:
    gateway.ask(gateway.key())
    assert gateway.get("/metrics").status == 401
    assert gateway.get("/metrics", gateway.key()).status == 403
    page = gateway.get("/metrics", gateway.key("monitor", "prometheus")).body.decode()
    assert 'requests_total{role="internal",route="champion",status="200"}' in page
    assert "proofhouse_gateway_latency_seconds_bucket" in page


def test_admins_ask_no_model(gateway: RunningGateway) -> None:
    assert gateway.ask(gateway.key("admin", "root")).status == 403


def test_a_burst_is_granted_and_the_next_waits(gateway: RunningGateway) -> None:
    key = gateway.key("slow", "slow-one")
    assert gateway.ask(key, inputs=np.full((2, 4), 0.5)).status == 200
    refused = gateway.ask(key, inputs=np.full((2, 4), 0.5))
    assert (refused.status, refused.document["reason"]) == (429, "rate")
    assert int(refused.headers["retry-after"]) >= 900
    assert gateway.ask(key).status == 200  # a refused request cost nothing
    assert gateway.ask(key, inputs=np.full((4, 4), 0.5)).document["reason"] == "burst"


def test_a_quota_ends_and_somebody_is_told_before(gateway: RunningGateway) -> None:
    key = gateway.key("rationed", "rationed-one")
    for _ in range(5):
        assert gateway.ask(key).status == 200
    assert gateway.ask(key).document["reason"] == "quota"
    alarms = [a for a in gateway.parts.watching.alarms if a.account == "rationed-one"]
    assert [(alarm.monitor, alarm.queries) for alarm in alarms] == [("quota", 4)]


def test_accounts_share_their_limit_over_all_their_keys(gateway: RunningGateway) -> None:
    keys = [gateway.key("slow", "two-keys") for _ in range(2)]
    assert gateway.ask(keys[0], inputs=np.full((3, 4), 0.5)).status == 200
    assert gateway.ask(keys[1]).status == 429


def test_segments_meet_the_canary_and_nobody_else(tmp_path: Path) -> None:
    with running_gateway(tmp_path, policy=POLICY, canary=True) as gateway:
        beta = gateway.key("internal", "b", segment="beta")
        other = gateway.key("internal", "o")
        assert gateway.ask(other).document["model_version"] == "run-1"
        policy_beta = gateway.ask(beta).document["model_version"]
        assert policy_beta == "run-1"  # a share of 0 takes the canary out, for segments as well
        admin = gateway.key("admin", "root")
        assert gateway.act(admin, "canary", percent=1e-9).status == 200
        assert gateway.ask(beta).document["model_version"] == "run-2"
        assert gateway.ask(other).document["model_version"] == "run-1"
        gateway.act(admin, "canary", percent=100.0)
        assert gateway.ask(other).document["model_version"] == "run-2"
        gateway.act(admin, "canary", undo=True)
        assert gateway.ask(other).document["model_version"] == "run-1"


def test_keys_of_the_command_line_count_in_a_running_gateway(gateway: RunningGateway) -> None:
    text, _ = gateway.keys.add("late-comer", "internal")  # the running one is not told
    wait_for(lambda: gateway.ask(text).status == 200, what="the new key")
