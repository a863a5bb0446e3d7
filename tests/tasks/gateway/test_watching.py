"""A thief in front of a running gateway is alarmed, slowed down, and honest callers are not."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.detectors.telemetry.scoring import NAMES
from tasks.detectors.telemetry.traffic import Pool
from tasks.detectors.telemetry.trail import BLOCK
from tasks.domain.errors import InvalidInputError
from tasks.gateway.actions import gateway_folder
from tasks.gateway.calibrating import (
    accounts_needed,
    calibration_file,
    evaluation_pool,
    imitated,
    observed,
    read_calibration,
    write_calibration,
)
from tasks.gateway.policy import GatewayPolicy, Keeping, Watch
from tasks.gateway.starting import kept_features
from tasks.gateway.telemetry import Features, claim_part
from tasks.gateway.watching import Alarm, alarmed_accounts
from tasks.sandbox.protocol import Array
from tests.simulators.gateway import (
    WIDE,
    RunningGateway,
    accepted,
    running_gateway,
    wait_for,
)
from tests.simulators.store import MemoryStore

POLICY = GatewayPolicy(
    roles={"internal": WIDE},
    watch=Watch(alarms_per_10k_accounts_week=300, on_alarm="throttle"),
)
RNG = np.random.default_rng(0)
INPUTS = RNG.uniform(0, 1, (400, 4)).astype(np.float32)
POOL = Pool(INPUTS, INPUTS[:, :3].argmax(axis=1).astype(np.int64))


def linear(inputs: Array) -> Array:
    scores: Array = inputs[:, :3] * 4
    return scores


@pytest.fixture(scope="module")
def calibrated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    features = kept_features(accepted(MemoryStore()), POLICY, home)
    made = imitated(POOL, linear, features, accounts=240, budget=0.03, seed=1)
    assert made.keeps_budget
    write_calibration(home, made)
    return home


@pytest.fixture
def gateway(calibrated_home: Path) -> Iterator[RunningGateway]:
    with running_gateway(calibrated_home, policy=POLICY) as running:
        yield running


def test_a_search_along_the_boundary_is_alarmed_and_slowed_down(gateway: RunningGateway) -> None:
    thief, honest = gateway.key("internal", "thief"), gateway.key("internal", "honest")
    clean = np.array([0.5, 0.5, 0.1, 0.1])
    for start in range(0, 400, 10):
        wiggle = RNG.normal(0, 0.01, (10, 4))
        gateway.ask(thief, inputs=np.clip(clean + wiggle, 0, 1))
        gateway.ask(honest, inputs=INPUTS[start : start + 10])
    wait_for(lambda: gateway.parts.watching.alarms, what="the alarm")
    wait_for(lambda: gateway.parts.recorder.rows == 800, what="the last row")
    (alarm,) = gateway.parts.watching.alarms  # once, and nobody else
    assert alarm.account == "thief"
    assert alarm.monitor in NAMES
    assert alarm.queries <= 400
    assert alarm.score > alarm.threshold
    home = gateway.parts.home
    assert alarmed_accounts(home) == {"thief"}
    told = (gateway_folder(home) / "alarms.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(told[-1])["account"] == "thief"
    wait_for(
        lambda: "thief" in gateway.parts.controls.current.throttled, what="the throttle in force"
    )
    page = gateway.get("/metrics", gateway.key("monitor", "m")).body.decode()
    assert f'alarms_total{{monitor="{alarm.monitor}"}} 1.0' in page


def test_without_a_calibration_only_quotas_are_watched(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        key = gateway.key()
        for _ in range(5):
            gateway.ask(key, inputs=np.full((10, 4), 0.5))
        wait_for(lambda: gateway.parts.recorder.rows == 50, what="the rows")
        assert gateway.parts.watching.alarms == []


def test_another_week_is_another_account(calibrated_home: Path) -> None:
    with running_gateway(calibrated_home, policy=POLICY) as gateway:
        watching = gateway.parts.watching
        rows = [
            {
                "time": 0.0, "account": "a", "model": "Acme/reader@1", "status": 200,
                "features": [0.0, 0.0, 0.0, n * 1e-4], "input_hash": f"{n:032x}",
                "label": n % 2, "margin": 0.0, "cost_ms": 0.3,
            }
            for n in range(100)
        ]  # fmt: skip
        watching.heard(rows)
        watching.heard(rows)
        assert [alarm.account for alarm in watching.alarms] == ["a"]
        watching.heard([{**row, "time": 8 * 86400.0} for row in rows])
        assert [alarm.account for alarm in watching.alarms] == ["a", "a"]


def test_real_traffic_calibrates_without_those_who_were_alarmed(tmp_path: Path) -> None:
    store = MemoryStore()
    with running_gateway(tmp_path, store=store) as gateway:
        for number in range(60):
            key = gateway.key("internal", f"account-{number}")
            gateway.ask(key, inputs=INPUTS[number * 5 : number * 5 + 50])
    name = claim_part("reader")
    made = observed(store, name, unit=0.5, budget=0.1, since="2000", alarmed={"account-0"})
    assert made.source.startswith("59 account-weeks")
    with pytest.raises(InvalidInputError, match="too few"):
        observed(store, name, unit=0.5, budget=0.1, since="9999", alarmed=set())


def test_evaluation_data_is_the_pool(tmp_path: Path) -> None:
    del tmp_path
    store = MemoryStore()
    pool = evaluation_pool(store, accepted(store).subject)
    assert pool.inputs.shape == (60, 4)
    assert (pool.low, pool.high) == (0.0, 1.0)


def test_nobody_can_be_watched_without_features() -> None:
    features = Features(Keeping(features="none"), bytes(32), size=4, span=1.0)
    with pytest.raises(InvalidInputError, match="no features"):
        imitated(POOL, linear, features, accounts=100, budget=0.1, seed=0)


def test_a_damaged_calibration_is_told(tmp_path: Path) -> None:
    assert read_calibration(tmp_path) is None
    calibration_file(tmp_path).parent.mkdir()
    calibration_file(tmp_path).write_text('{"schema": "proofhouse.abuse/1"}')
    with pytest.raises(InvalidInputError, match="calibrate"):
        read_calibration(tmp_path)


def test_how_many_accounts_a_promise_takes() -> None:
    assert accounts_needed(0.001) == 2995
    assert accounts_needed(0.05) == 59


def test_reauthentication_is_an_answer_to_an_alarm(calibrated_home: Path) -> None:
    watch = POLICY.watch.model_copy(update={"on_alarm": "reauthenticate"})
    policy = POLICY.model_copy(update={"watch": watch})
    with running_gateway(calibrated_home, policy=policy) as gateway:
        key = gateway.key("internal", "other-thief")
        assert gateway.ask(key).status == 200
        gateway.parts.watching.alarm(Alarm("other-thief", NAMES[0], 9.0, 1.0, 25))
        wait_for(lambda: gateway.ask(key).status == 401, what="the old key's end")
        assert gateway.ask(gateway.key("internal", "other-thief")).status == 200


def test_a_restart_forgets_neither_questions_nor_alarms(calibrated_home: Path) -> None:
    store = MemoryStore()
    clean = np.array([0.5, 0.5, 0.1, 0.1])

    def search(gateway: RunningGateway, key: str, count: int) -> None:
        for _ in range(count):
            wiggle = RNG.normal(0, 0.01, (1, 4))
            gateway.ask(key, inputs=np.clip(clean + wiggle, 0, 1))

    def alarms(gateway: RunningGateway) -> list[str]:
        return [alarm.account for alarm in gateway.parts.watching.alarms]

    policy = POLICY.model_copy(update={"watch": Watch(alarms_per_10k_accounts_week=300)})
    with running_gateway(calibrated_home, policy=policy, store=store) as gateway:
        key = gateway.key("internal", "patient")
        search(gateway, key, BLOCK - 1)
        assert alarms(gateway) == []
    with running_gateway(calibrated_home, policy=policy, store=store) as gateway:
        search(gateway, key, 2 * BLOCK + 1)
        wait_for(lambda: alarms(gateway), what="the alarm")
        followed = gateway.parts.watching._accounts["patient"]
        # The one item more completes a block only if the earlier gateway's are remembered.
        wait_for(lambda: followed.follower.count == 3 * BLOCK, what="the third block")
    with running_gateway(calibrated_home, policy=policy, store=store) as gateway:
        assert gateway.parts.watching._accounts["patient"].alarmed
        assert alarms(gateway) == []
