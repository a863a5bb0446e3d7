"""Notices to the Prefect server, the automations that act on them, and the drops they are about."""

import json
import logging
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.runtime import deployment

from tasks.domain.alarm import Trigger
from tasks.domain.errors import ProofhouseError
from tasks.dropping import Result, Taking, open_place
from tasks.events.reading import Notice
from tasks.intake.drops import Patience
from tasks.runtime import services

_log = logging.getLogger(__name__)
_SPACE = uuid.UUID("6b2f3c1e-7a55-5e0a-9c1d-3f0f6a0f5f11")
SETTLE_SECONDS = 30
AUTOMATIONS: tuple[tuple[str, frozenset[str], str, dict[str, Any]], ...] = (
    (
        "take in what was dropped",
        frozenset({"proofhouse.drop.changed"}),
        "take-in-drops",
        {"place": "{{ event.payload.place }}", "drop": "{{ event.payload.drop }}"},
    ),
    (
        "show the registry as it is",
        frozenset({"proofhouse.mlflow.*"}),
        "sync-registry",
        {},
    ),
    (
        "reassess after a push",
        frozenset({"proofhouse.git.push"}),
        "reassess-nightly",
        {},
    ),
    (
        "answer an alarm",
        frozenset(f"proofhouse.{trigger}" for trigger in Trigger),
        "answer-alarms",
        {"alarm": "{{ event.payload.alarm }}"},
    ),
)
"""Name, events, deployment, and the parameters that the event fills in."""


class NotHandedOnError(ProofhouseError):
    """The Prefect server did not take an event."""

    code = "events.not_handed_on"


def emit(notice: Notice) -> None:
    """Gives a notice to the Prefect server, which has it when this returns.

    Raises:
        NotHandedOnError: There is none, it does not answer, or it refuses.
    """
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise NotHandedOnError("no Prefect server is known here: set PREFECT_API_URL or run serve")
    told = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": notice.event,
        "resource": {"prefect.resource.id": notice.resource[:900]},
        "payload": notice.payload,
        "id": str(uuid.uuid5(_SPACE, notice.identity)),
    }
    request = urllib.request.Request(  # noqa: S310 - the operator's own server
        f"{url}/events",
        data=json.dumps([told]).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20):  # noqa: S310 - likewise
            return
    except (urllib.error.URLError, OSError) as error:
        raise NotHandedOnError(f"the Prefect server did not take an event: {error}") from error


def make_automations() -> None:
    """Makes the automations whose deployments exist, or brings them up to date; repeatable."""
    with get_client(sync_client=True) as client:
        deployed = {one.name: one.id for one in client.read_deployments(limit=200)}
    for name, events, target, parameters in AUTOMATIONS:
        if target not in deployed:
            continue
        wanted = Automation(
            name=f"proofhouse: {name}",
            trigger=EventTrigger(
                expect=set(events),
                # One look answers every event of the same drop that comes meanwhile.
                for_each={"prefect.resource.id"},
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                RunDeployment(
                    source="selected", deployment_id=deployed[target], parameters=parameters or None
                )
            ],
        )
        # Typed as coroutines; called from plain code they answer at once.
        reading: Any = Automation.read
        try:
            known = reading(name=wanted.name)
        except ValueError:
            wanted.create()
        else:
            wanted.id = known.id
            wanted.update()


def look_at_drops(
    place: str, drop: str | None, run: Callable[[Path], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Makes one pass over a place, or over one drop of it; says what became of each."""
    here = services()
    taking = Taking(
        place=open_place(place),
        store=here.store,
        run=run,
        scratch=here.settings.home.resolve() / "scratch",
        patience=Patience(settle=timedelta(seconds=SETTLE_SECONDS)),
        only=drop or "",
    )
    results = [_told(result) for result in taking.one_pass()]
    return [result.model_dump(mode="json") for result in results]


def look_later(place: str, results: list[dict[str, Any]]) -> None:
    """Schedules another look at drops that are not complete or in other hands; nothing waits.

    Equal looks are one: the key holds drop and minute.
    """
    if not deployment.id:
        return
    due = datetime.now(UTC) + timedelta(seconds=2 * SETTLE_SECONDS)
    for result in results:
        if result["state"] in {"waiting", "busy", "failed"}:
            run_deployment(
                deployment.id,
                parameters={"place": place, "drop": result["name"]},
                scheduled_time=due,
                timeout=0,
                as_subflow=False,
                idempotency_key=f"drop {place}/{result['name']} {due:%Y-%m-%dT%H:%M}",
            )


def _told(result: Result) -> Result:
    _log.info("%s: %s %s %s", result.name, result.state, result.verdict, result.reason)
    return result
