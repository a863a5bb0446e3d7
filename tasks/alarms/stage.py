"""Alarms and Prefect: monitors raise them from flows, one flow answers what waits."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.deployments import run_deployment

from tasks.alarms.handing_on import notice_of
from tasks.alarms.outbox import (
    Answer,
    Start,
    alarm_names,
    answer_to,
    keep_alarm,
    keep_answer,
    known_alarm,
)
from tasks.alarms.sealed import (
    alarm_of_drift,
    alarm_of_night,
    alarm_of_verification,
    alarm_of_version,
)
from tasks.alarms.starting import starts, verify_settings
from tasks.casework import take_up, world_of
from tasks.catalog.reading import shared_catalog
from tasks.domain.alarm import Alarm
from tasks.domain.incident import Incident
from tasks.events.stage import NotHandedOnError, emit
from tasks.forms import IncidentForm
from tasks.ledger.keys import trusted_keys
from tasks.ledger.nights import night_statement, nights
from tasks.ledger.seal import sealed_run
from tasks.ledger.trust import Trust
from tasks.registry.place import RegistryPlace
from tasks.registry.soundness import unsound_versions
from tasks.runtime import services
from tasks.settings import read_settings
from tasks.store.protocol import ObjectStore

_log = logging.getLogger(__name__)
RESPONSE = "respond-to-incident/respond-to-incident"


def raise_alarm(alarm: Alarm) -> None:
    """Keeps an alarm and tells of it. That nobody hears it now loses nothing: it waits.

    Raises:
        StoreError: It could not be kept.
    """
    store = services().store
    first = keep_alarm(alarm, store).alarm
    if answer_to(first.name, store) is not None:
        return
    try:
        emit(notice_of(first))
    except NotHandedOnError as error:
        _log.warning("%s waits in the store: %s", first.name, error.message)


def raise_alarms_of_nights() -> None:
    """Raises an alarm for every asset that a signed night found worse than before.

    Looks at the latest two nights: the earlier one may have died after it was signed.
    """
    here = services()
    trust = trusted_keys(here.settings.home.resolve())
    for name in nights(here.store)[-2:]:
        for alarm in _of_night(name, here.store, trust):
            raise_alarm(alarm)


def _of_night(name: str, store: ObjectStore, trust: Trust) -> Iterator[Alarm]:
    found = night_statement(name, store, trust)
    statement, night = found or (None, None)
    if statement is None or night is None:
        return
    for row in night.assets:
        sealed = sealed_run(store, row.run) if row.happened == "reassessed" else None
        alarm = sealed and alarm_of_night(row, sealed[0], (sealed[1].statement, statement))
        if alarm:
            yield alarm


def raise_alarm_of_drift(run: str, asset: str) -> None:
    """Raises an alarm when a sealed comparison found drift."""
    found = sealed_run(services().store, run)
    if found is not None:
        record, seal = found
        alarm = alarm_of_drift(record, (seal.statement,), asset=asset)
        if alarm is not None:
            raise_alarm(alarm)


def raise_alarm_of_verification(problems: list[str]) -> None:
    """Raises an alarm when evidence does not verify."""
    alarm = alarm_of_verification(problems, datetime.now(UTC))
    if alarm is not None:
        raise_alarm(alarm)


@task(name="verify-registered", retries=2, retry_delay_seconds=5)
def verify_registered() -> list[dict[str, str]]:
    """Verifies every version that holds a place; raises an alarm for each that fails."""
    here = services()
    registry = RegistryPlace.here(here.settings)._replace(store=here.store)
    found = list(unsound_versions(registry))
    for one in found:
        raise_alarm(alarm_of_version(one.asset, one.problem, datetime.now(UTC)))
    return [one._asdict() for one in found]


@task(name="answer-alarms", retries=2, retry_delay_seconds=5)
def answer_waiting(alarm: str | None) -> list[dict[str, Any]]:
    """Answers one alarm and every other that waits; says what was started for each."""
    store = world_of(read_settings()).store
    if alarm is not None:
        known_alarm(alarm, store)
    documents = [_answered(name, store) for name in _names(alarm, store)]
    _show(documents)
    return documents


def _names(first: str | None, store: ObjectStore) -> Iterator[str]:
    """Yields the alarm that was asked for, then what waits, also what comes meanwhile."""
    seen: set[str] = set()
    if first is not None:
        seen.add(first)
        yield first
    while more := [name for name in alarm_names(store, waiting=True) if name not in seen]:
        seen.update(more)
        yield from more


def _answered(name: str, store: ObjectStore) -> dict[str, Any]:
    answer = answer_to(name, store)
    if answer is None:
        answer = answer_here(known_alarm(name, store), store)
    return {"alarm": name} | answer.model_dump(mode="json")


def answer_here(alarm: Alarm, store: ObjectStore) -> Answer:
    """Opens a case and starts a flow run for every playbook that is for this alarm.

    The case is there before its run is, and a case has one run: the second of two that answer the
    same alarm finds both.

    Raises:
        SettingsError: The settings name a playbook that does not exist.
    """
    catalog, settings = shared_catalog(), read_settings().triggers
    names = catalog.ids("playbooks")
    verify_settings(settings, names)
    incident = alarm.incident()
    chosen = starts(alarm, [catalog.playbook(one) for one in names], settings)
    answer = Answer(starts=tuple(_started(one, incident, alarm.name) for one in chosen))
    if not chosen:
        _log.warning("no playbook of the catalog is for %s (%s)", alarm.name, alarm.trigger)
    keep_answer(alarm.name, answer, store)
    return answer


def _started(start: Start, incident: Incident, alarm: str) -> Start:
    if start.mode == "off":
        return start
    dry_run = start.mode == "dry_run"
    case = take_up(start.playbook, incident, world_of(read_settings()), dry_run=dry_run).name
    form = IncidentForm.model_validate(incident.model_dump(exclude={"schema_"}))
    run_deployment(
        RESPONSE,
        parameters={
            "playbook": start.playbook,
            "incident": form.model_dump(mode="json"),
            "dry_run": dry_run,
        },
        timeout=0,
        as_subflow=False,
        idempotency_key=case,
        tags=[alarm, case],
    )
    return start.model_copy(update={"case": case})


def _show(documents: list[dict[str, Any]]) -> None:
    rows = [
        {"alarm": one["alarm"], "playbook": start["playbook"], "started": start["mode"],
         "case": start["case"]}
        for one in documents
        for start in one["starts"] or [{"playbook": "none is for it", "mode": "", "case": ""}]
    ]  # fmt: skip
    try:
        create_table_artifact(table=rows or [{"alarm": "none waits"}], key="alarms")
    except Exception as error:  # noqa: BLE001 - a server that is gone must not undo an answer
        _log.warning("the Prefect UI does not show what was started: %s", error)
