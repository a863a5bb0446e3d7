"""Which playbooks an alarm starts, and how: live, in a dry run, or not at all. No I/O."""

from collections.abc import Iterable

from tasks.alarms.outbox import Start
from tasks.catalog.playbooks import PlaybookEntry
from tasks.domain.alarm import MODES, Alarm, Mode, Trigger
from tasks.domain.errors import SettingsError
from tasks.settings import TriggerSettings

ABOUT_CALLERS = frozenset({Trigger.GATEWAY_ALARM, Trigger.GATEWAY_QUOTA_ALERT, Trigger.COST_ALARM})
"""Their playbooks throttle accounts before anybody has declared, and some alarms are false."""


def default_mode(trigger: Trigger) -> Mode:
    """Returns what a trigger starts when no setting says anything."""
    return "dry_run" if trigger in ABOUT_CALLERS else "live"


def starts(
    alarm: Alarm, playbooks: Iterable[PlaybookEntry], settings: TriggerSettings
) -> tuple[Start, ...]:
    """Returns every playbook that names the alarm's trigger, with how it is to be started."""
    asked = settings.modes.get(alarm.trigger, default_mode(alarm.trigger))
    return tuple(
        Start(
            playbook=playbook.id,
            mode=min(asked, settings.playbooks.get(playbook.id, "live"), key=MODES.index),
        )
        for playbook in playbooks
        if any(alarm.is_heard_by(trigger) for trigger in playbook.triggers)
    )


def verify_settings(settings: TriggerSettings, known: Iterable[str]) -> None:
    """Raises :class:`SettingsError` when a setting names a playbook that does not exist."""
    names = sorted(known)
    if unknown := sorted(set(settings.playbooks) - set(names)):
        raise SettingsError(
            f"PROOFHOUSE_TRIGGERS__PLAYBOOKS: no playbook is called {', '.join(unknown)}. "
            f"Known: {', '.join(names)}."
        )
