"""What a playbook does to a gateway: at once, as often as it likes, and back again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.domain.errors import InvalidInputError
from tasks.gateway import actions
from tasks.gateway.actions import ControlFile, gateway_folder
from tasks.gateway.keys import KeyRing
from tasks.gateway.policy import GatewayPolicy, Role
from tests.simulators.gateway import WIDE, RunningGateway, running_gateway, wait_for

ROLE = Role(rate_per_second=1e-6, burst=10)


def controls(home: Path) -> actions.Controls:
    return ControlFile(gateway_folder(home)).read()


def test_each_action_repeats_without_effect_and_comes_back(tmp_path: Path) -> None:
    before = controls(tmp_path)
    for act, named in (
        (actions.throttle, ("acme",)), (actions.reauthenticate, ("acme",)), (actions.kill, ()),
    ):  # fmt: skip
        once = act(tmp_path, *named, by="playbook")
        assert once != before
        assert act(tmp_path, *named, by="playbook") == once == controls(tmp_path)
        assert act(tmp_path, *named, undo=True) == before
        assert act(tmp_path, *named, undo=True) == before
    actions.set_canary(tmp_path, 0)
    assert controls(tmp_path).canary_percent == 0
    assert actions.set_canary(tmp_path, 0, undo=True) == before


def test_revocation_comes_back(tmp_path: Path) -> None:
    keys = KeyRing(gateway_folder(tmp_path))
    text, entry = keys.add("acme", "internal")
    keys.add("acme", "internal")
    assert set(actions.revoke(tmp_path, "acme")) == {key.id for key in keys.all()}
    assert actions.revoke(tmp_path, entry.id) == (entry.id,)
    keys.refresh()
    found = keys.known(text)
    assert found is not None
    assert found.revoked
    actions.revoke(tmp_path, "acme", undo=True)
    assert not any(key.revoked for key in keys.all())


def test_what_was_done_is_written_down(tmp_path: Path) -> None:
    actions.throttle(tmp_path, "acme", factor=0.5, by="INC-7")
    actions.throttle(tmp_path, "acme", factor=0.5, by="INC-7")
    lines = (gateway_folder(tmp_path) / "actions.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [line["changed"] for line in told] == [True, False]
    assert {(line["action"], line["by"], line["account"]) for line in told} == {
        ("throttle", "INC-7", "acme")
    }


def test_nonsense_is_refused(tmp_path: Path) -> None:
    for factor in (0.0, -1.0, 2.0, float("nan")):
        with pytest.raises(InvalidInputError):
            actions.throttle(tmp_path, "acme", factor=factor)
    with pytest.raises(InvalidInputError):
        actions.set_canary(tmp_path, 101)
    with pytest.raises(InvalidInputError, match="no key"):
        actions.revoke(tmp_path, "nobody")


def test_damaged_files_are_told_and_nothing_is_lifted(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        key, admin = gateway.key(), gateway.key("admin", "root")
        assert gateway.act(admin, "kill").status == 200
        (gateway_folder(tmp_path) / "controls.json").write_text("{")
        with pytest.raises(InvalidInputError, match=r"controls\.json"):
            actions.kill(tmp_path)
        (gateway_folder(tmp_path) / "keys.json").write_text("{")
        for _ in range(3):
            assert gateway.ask(key).document["reason"] == "killed"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with running_gateway(
        tmp_path, policy=GatewayPolicy(roles={"internal": WIDE, "few": ROLE})
    ) as running:
        yield running


def test_a_running_gateway_follows_at_once(gateway: RunningGateway) -> None:
    key, admin = gateway.key("few", "acme"), gateway.key("admin", "root")
    assert gateway.act(admin, "kill", reason="INC-7").status == 200
    assert (gateway.ask(key).status, gateway.get("/v2/health/ready").status) == (503, 503)
    assert gateway.act(admin, "kill", undo=True).status == 200
    assert gateway.ask(key).status == 200

    gateway.act(admin, "throttle", account="acme", factor=0.1)
    assert gateway.ask(key).status == 200  # a burst of one in place of ten
    assert gateway.ask(key).document["reason"] == "rate"

    gateway.act(admin, "reauthenticate", account="acme")
    assert gateway.ask(key).document["reason"] == "reauthenticate"
    fresh = gateway.key("few", "acme")
    gateway.act(admin, "throttle", account="acme", undo=True)
    assert (
        gateway.ask(fresh).document["reason"] == "rate"
    )  # the limit is the account's, not the key's
    gateway.act(admin, "revoke", name="acme")
    assert gateway.ask(fresh).document["reason"] == "key"
    told = gateway.get("/admin/state", admin).document
    assert list(told["controls"]["reauthenticate"]) == ["acme"]


def test_actions_of_the_command_line_reach_a_running_gateway(gateway: RunningGateway) -> None:
    key = gateway.key()
    actions.kill(gateway.parts.home, reason="INC-8")
    wait_for(lambda: gateway.ask(key).status == 503, what="the kill switch")
    actions.kill(gateway.parts.home, undo=True)
    wait_for(lambda: gateway.ask(key).status == 200, what="its end")


def test_only_admins_act(gateway: RunningGateway) -> None:
    for role in ("internal", "monitor"):
        key = gateway.key(role, role)
        assert gateway.act(key, "kill").status == 403
        assert gateway.get("/admin/state", key).status == 403
    assert gateway.act("nobody", "kill").status == 401
    assert controls(gateway.parts.home).killed == ""


@pytest.mark.parametrize(
    ("action", "order"),
    [
        ("throttle", {}),
        ("throttle", {"account": "a b"}),
        ("throttle", {"account": "../x"}),
        ("throttle", {"account": "a", "factor": 0}),
        ("throttle", {"account": "a", "factor": "0.5"}),
        ("throttle", {"account": "a", "home": "elsewhere"}),
        ("kill", {"reason": "a\nb"}),
        ("kill", {"undo": "yes"}),
        ("canary", {"percent": 101}),
        ("revoke", {"name": "nobody"}),
    ],
)
def test_orders_that_do_not_fit_change_nothing(
    gateway: RunningGateway, action: str, order: dict[str, object]
) -> None:
    admin = gateway.key("admin", "root")
    assert gateway.act(admin, action, **order).status == 400
    assert gateway.act(admin, "reboot").status == 404
    assert controls(gateway.parts.home) == actions.Controls()
