"""``proofhouse events forward`` and ``alarms``: what monitors raised, and what came of it."""

import logging
import os
import threading
import time

import typer

from tasks.alarms.gateway_file import Forwarded
from tasks.alarms.handing_on import Forwarder
from tasks.alarms.outbox import alarm_names, answer_to, known_alarm
from tasks.alarms.starting import verify_settings
from tasks.answering import EXIT_OK, EXIT_REFUSED, Answer
from tasks.casework import world_of
from tasks.catalog.reading import shared_catalog
from tasks.commands.onboard import prepare_home
from tasks.domain.errors import StoreError
from tasks.orchestration import served_address
from tasks.serving import client_environment
from tasks.settings import read_settings

PASS_SECONDS = 2.0
_log = logging.getLogger(__name__)


def forward_answer(*, once: bool) -> Answer:
    """Forwards until interrupted, or once. Without a Prefect server alarms wait in the store."""
    home = read_settings().home
    prepare_home(home)
    url = os.environ.get("PREFECT_API_URL") or served_address(home)
    if url is not None:
        os.environ.update(client_environment(home.resolve(), url))
    forwarder = _forwarder()
    if not once:
        typer.echo("forwarding alarms; stop with Ctrl-C.", err=True)
        _forward_for_ever(forwarder)
    found = forwarder.one_pass()
    waiting = list(alarm_names(world_of(read_settings()).store, waiting=True))
    document = {
        "new": [alarm.name for alarm in found.new],
        "known": found.known,
        "damaged": found.damaged,
        "waiting": waiting,
        "prefect": url or "",
    }
    return Answer(document, [_told(found), _waits(waiting, url)])


def start_forwarder() -> threading.Thread:
    """Forwards behind the caller; ends with its process.

    Raises:
        SettingsError: The settings name a playbook that does not exist.
    """
    verify_settings(read_settings().triggers, shared_catalog().ids("playbooks"))
    forwarder = _forwarder()
    thread = threading.Thread(
        target=_forward_for_ever, args=(forwarder,), name="alarms", daemon=True
    )
    thread.start()
    return thread


def alarms_answer() -> Answer:
    """Lists every alarm with what it started."""
    store = world_of(read_settings()).store
    rows = []
    for name in alarm_names(store):
        alarm, answer = known_alarm(name, store), answer_to(name, store)
        rows.append(
            alarm.model_dump(mode="json")
            | {"alarm": name, "answer": answer.model_dump(mode="json") if answer else None}
        )
    rows.sort(key=lambda row: str(row["detected"]), reverse=True)
    lines = [line for row in rows for line in _lines(row)]
    waits = any(row["answer"] is None for row in rows)
    return Answer({"alarms": rows}, lines or ["no alarms"], EXIT_REFUSED if waits else EXIT_OK)


def _lines(row: dict[str, object]) -> list[str]:
    head = f"{row['alarm']}  {row['detected']}  {row['trigger']}  {row['title']}"
    answer = row["answer"]
    if not isinstance(answer, dict):
        return [f"{head}\n  WAITS for an answer"]
    started = [f"  {one['playbook']}: {one['mode']} {one['case']}" for one in answer["starts"]]
    return ["\n".join([head, *(started or ["  no playbook is for it"])])]


def _forwarder() -> Forwarder:
    from tasks.events.stage import emit  # noqa: PLC0415 - imports Prefect, after the environment

    settings = read_settings()
    return Forwarder(settings.home.resolve(), world_of(settings).store, emit)


def _forward_for_ever(forwarder: Forwarder) -> None:
    while True:
        try:
            forwarder.one_pass()
        except (StoreError, OSError) as error:
            _log.warning("alarms wait: %s", error)
        time.sleep(PASS_SECONDS)


def _told(found: Forwarded) -> str:
    told = f"{len(found.new)} new alarms, {found.known} known"
    return f"{told}, {found.damaged} damaged lines skipped" if found.damaged else told


def _waits(waiting: list[str], url: str | None) -> str:
    if not waiting:
        return "every alarm is answered"
    where = f"the Prefect server at {url} was told" if url else "no Prefect server is known here"
    return f"{len(waiting)} wait for an answer; {where}"
