"""Actions on the real gateway controls and the real registry: done twice, undone, refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.domain.case import Said
from tasks.gateway.actions import ControlFile, gateway_folder
from tasks.gateway.keys import KeyRing
from tasks.registry.registering import Why, promote, register
from tasks.registry.serving import UnsignedModelError, accepted_model
from tasks.response.acting import Acted, ActionError, Order, World, action, undoing
from tests.tasks.registry.homes import MODEL, Home, new_home
from tests.tasks.response.cases import incident, world

WHY = Why("a test", by="tester")
ACCOUNTS = ("partner-1", "partner-2")


def order(**parameters: Said) -> Order:
    return Order("case-1/step", "case-1", "step", incident(), parameters, "test")


def twice(name: str, called: Order, place: World) -> Acted:
    assert action(name).preview(called, place)
    first = action(name).act(called, place)
    assert action(name).act(called, place).undo == first.undo
    return first


def back(name: str, called: Order, told: Mapping[str, Said], place: World) -> str:
    undo = undoing(name)
    assert undo is not None
    return undo(called, told, place)


def controls(place: World) -> Any:
    return ControlFile(gateway_folder(place.home)).read()


@pytest.mark.parametrize("name", ["throttle", "reauthenticate", "kill", "roll_back"])
def test_the_gateway_is_changed_and_put_back(tmp_path: Path, name: str) -> None:
    place = world(tmp_path)
    before, called = controls(place), order(accounts=ACCOUNTS, factor=0.2)
    done = twice(f"gateway.{name}", called, place)
    assert controls(place) != before
    back(f"gateway.{name}", called, done.undo, place)
    assert controls(place) == before


def test_a_throttle_is_the_playbooks(tmp_path: Path) -> None:
    place = world(tmp_path)
    action("gateway.throttle").act(order(accounts=ACCOUNTS, factor=0.2), place)
    assert controls(place).throttled == dict.fromkeys(ACCOUNTS, 0.2)
    with pytest.raises(ActionError, match="factor must be a number"):
        action("gateway.throttle").act(order(accounts=ACCOUNTS, factor="much"), place)


def test_keys_are_revoked_and_come_back(tmp_path: Path) -> None:
    place = world(tmp_path)
    ring = KeyRing(gateway_folder(place.home))
    made = [ring.add(account, "internal")[1] for account in ACCOUNTS]
    called = order(accounts=ACCOUNTS)
    done = action("gateway.revoke").act(called, place)
    keys = done.said["keys"]
    assert isinstance(keys, tuple)
    assert len(keys) == len(made)
    assert "count again" in back("gateway.revoke", called, done.undo, place)


def registered(home: Home, *versions: str) -> World:
    place = world(home.path.parent / "world")
    for version in versions:
        register(home.seal(version).run, home.registry, WHY)
        promote(f"{MODEL}@{version}", "champion", home.registry, WHY)
    return place._replace(registry=home.registry)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "world").mkdir()
    return new_home(tmp_path)


def test_a_champion_is_left_once_for_the_one_before(home: Home) -> None:
    place, called = registered(home, "1", "2", "3"), order(asset=f"{MODEL}@3")
    for _ in range(2):
        assert action("registry.roll_back").act(called, place).said == {"serving": f"{MODEL}@2"}
    with pytest.raises(UnsignedModelError, match="A trigger was found"):
        accepted_model(f"{MODEL}@3", home.registry)


def test_a_withdrawn_version_is_not_loaded_any_more(home: Home) -> None:
    place, called = registered(home, "1"), order(asset=f"{MODEL}@1")
    twice("registry.withdraw", called, place)
    with pytest.raises(UnsignedModelError, match="withdrawn"):
        accepted_model(f"{MODEL}@1", home.registry)
    assert undoing("registry.withdraw") is None


def test_without_a_registry_it_is_said(tmp_path: Path) -> None:
    for name in ("registry.withdraw", "registry.roll_back"):
        with pytest.raises(ActionError, match="no registry is set up"):
            action(name).act(order(asset=f"{MODEL}@1"), world(tmp_path))
