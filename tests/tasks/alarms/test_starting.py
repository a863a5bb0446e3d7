"""Which playbooks an alarm starts, how settings say it, and that live ones wait for a person."""

import pytest
from pydantic import ValidationError

from tasks.alarms.starting import default_mode, starts, verify_settings
from tasks.catalog.playbooks import PlaybookEntry, Step
from tasks.catalog.reading import Catalog
from tasks.domain.alarm import Alarm, Mode, Trigger
from tasks.domain.errors import SettingsError
from tasks.settings import TriggerSettings, read_settings
from tests.tasks.response.cases import DETECTED

PLAYBOOKS = [Catalog().playbook(name) for name in Catalog().ids("playbooks")]
HARMLESS = ("evidence.", "orchestration.start")
"""Actions that change nothing for anybody."""


def alarm(trigger: Trigger, *kinds: str) -> Alarm:
    return Alarm(trigger=trigger, kinds=kinds, title="x", detected=DETECTED, source="a test")


def modes(told: Alarm, **settings: object) -> dict[str, Mode]:
    found = starts(told, PLAYBOOKS, TriggerSettings.model_validate(settings))
    return {one.playbook.removeprefix("incident."): one.mode for one in found}


def test_an_alarm_about_a_caller_starts_dry_runs() -> None:
    found = modes(alarm(Trigger.GATEWAY_ALARM, "nearest_distance"))
    assert found == dict.fromkeys(
        ["evasion_campaign", "model_extraction", "prompt_injection"], "dry_run"
    )
    assert "availability_flood" in modes(alarm(Trigger.GATEWAY_ALARM, "flood"))


def test_a_verdict_starts_the_playbooks_of_what_got_worse() -> None:
    worse = Trigger.ASSESSMENT_VERDICT_WORSE
    assert modes(alarm(worse, "backdoor")) == {"model_compromise": "live"}
    assert modes(alarm(worse, "privacy")) == dict.fromkeys(
        ["data_leakage", "membership_leak"], "live"
    )
    assert modes(alarm(worse)) == {}


def test_of_two_settings_the_more_careful_counts() -> None:
    told = alarm(Trigger.GATEWAY_ALARM, "nearest_distance")
    found = modes(
        told,
        modes={"gateway.alarm": "live"},
        playbooks={"incident.prompt_injection": "off", "incident.evasion_campaign": "dry_run"},
    )
    assert found == {
        "model_extraction": "live", "prompt_injection": "off", "evasion_campaign": "dry_run",
    }  # fmt: skip
    assert set(modes(told, modes={"gateway.alarm": "off"}).values()) == {"off"}


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFHOUSE_TRIGGERS__MODES", '{"gateway.alarm": "live"}')
    assert read_settings().triggers.modes == {Trigger.GATEWAY_ALARM: "live"}
    monkeypatch.setenv("PROOFHOUSE_TRIGGERS__MODES", '{"gateway.alert": "live"}')
    with pytest.raises(SettingsError, match=r"gateway\.alarm"):
        read_settings()


def test_a_playbook_that_does_not_exist_is_no_silence() -> None:
    with pytest.raises(SettingsError, match=r"no playbook is called incident\.nothing"):
        verify_settings(
            TriggerSettings(playbooks={"incident.nothing": "off"}), ["incident.something"]
        )
    with pytest.raises(ValidationError):
        TriggerSettings.model_validate({"playbooks": {"incident.x": "loud"}})


@pytest.mark.parametrize("trigger", Trigger)
def test_every_trigger_starts_something(trigger: Trigger) -> None:
    assert [one.id for one in PLAYBOOKS if one.is_started_by(trigger)]


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda one: str(one.id))
def test_what_starts_live_acts_on_nobody_before_somebody_declared(playbook: PlaybookEntry) -> None:
    live = [one for one in Trigger if default_mode(one) == "live" and playbook.is_started_by(one)]
    early = [
        step.id
        for step in playbook.steps
        if step.action and not step.action.name.startswith(HARMLESS)
        if "declare" not in before(playbook, step)
    ]
    assert not (live and early), f"{live} would do {early} before anybody declared"


def before(playbook: PlaybookEntry, step: Step) -> set[str]:
    """Returns every step that must have ended before this one starts."""
    direct = set(playbook.before(step))
    return direct.union(*(before(playbook, playbook.step(name)) for name in direct))
