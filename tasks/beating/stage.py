"""Marks flow runs as crashed in Prefect when they give no sign of life any more."""

import logging
import threading
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from tasks.beating.beats import lay_to_rest, silent_runs
from tasks.store.protocol import ObjectStore

LOOK_SECONDS = 15.0
_log = logging.getLogger(__name__)


def mark_crashed(store: ObjectStore) -> tuple[str, ...]:
    """Marks every silent run that Prefect still holds for running; returns their ids.

    Running such a run's deployment or command again resumes from what was sealed and measured.
    """
    marked: list[str] = []
    for silent in list(silent_runs(store, datetime.now(UTC))):
        with get_client(sync_client=True) as client:
            try:
                state = client.read_flow_run(UUID(silent.run)).state
            except (ObjectNotFound, ValueError):
                state = None  # another server's run, or none at all
            if state is not None and not state.is_final():
                told = f"{silent.why}. Run it again: what was measured and sealed is kept."
                client.set_flow_run_state(UUID(silent.run), Crashed(message=told), force=True)
                marked.append(silent.run)
        lay_to_rest(silent.run, store)
    return tuple(marked)


def watch_over(store: ObjectStore) -> threading.Event:
    """Looks for silent runs behind the caller, until the returned event is set."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(LOOK_SECONDS):
            try:
                for run in mark_crashed(store):
                    _log.warning("flow run %s gave no sign of life and is marked as crashed", run)
            except Exception:  # noqa: BLE001 - server or store may be away; the next look may succeed
                _log.exception("silent runs could not be looked for")

    threading.Thread(target=watch, name="watch over runs", daemon=True).start()
    return stop
