"""Who lives, who ended, and who is dead: told apart by signs of life alone."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from tasks.beating import beats
from tasks.beating.beats import BEATS, SILENCE, Begun, Pulse, lay_to_rest, silent_runs, this_process
from tasks.domain.errors import StoreError
from tests.services.processes import wait_until
from tests.simulators.store import MemoryStore

RUN = "0f4c2f52-0000-4000-8000-000000000001"


def silent(store: MemoryStore, seconds: float = 0) -> list[str]:
    return [one.run for one in silent_runs(store, datetime.now(UTC) + timedelta(seconds=seconds))]


def test_a_beating_run_lives_and_one_that_ended_is_not_missed() -> None:
    store = MemoryStore()
    pulse = Pulse(store, RUN, every_seconds=0.01)
    pulse.start()
    wait_until(lambda: f"{BEATS}{RUN}/000003" in store.named, what="three beats")
    assert silent(store) == []
    pulse.stop()
    pulse.stop()
    assert silent(store, 10_000) == []


def test_who_says_nothing_for_too_long_is_silent() -> None:
    store = MemoryStore()
    there = this_process().model_copy(update={"host": "elsewhere"})
    store.claim(f"{BEATS}{RUN}/begun", there.canonical())
    assert silent(store, SILENCE.total_seconds() - 5) == []
    assert silent(store, SILENCE.total_seconds() + 5) == [RUN]
    later = datetime.now(UTC) + timedelta(seconds=60)
    store.claim(f"{BEATS}{RUN}/000001", later.isoformat().encode())
    assert silent(store, SILENCE.total_seconds() + 5) == []
    [one] = silent_runs(store, later + SILENCE + timedelta(seconds=1))
    assert one.why == "it gave no sign of life for 81 s"


def test_a_process_of_this_machine_that_is_gone_is_noticed_at_once() -> None:
    store = MemoryStore()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    gone = this_process().model_copy(update={"pid": child.pid, "ticks": beats._ticks(child.pid)})
    store.claim(f"{BEATS}{RUN}/begun", gone.canonical())
    assert silent(store) == []
    child.kill()
    wait_until(lambda: silent(store) == [RUN], what="the death of the process")
    child.wait()
    [one] = silent_runs(store, datetime.now(UTC))
    assert one.why == f"its process {child.pid} is gone"
    lay_to_rest(RUN, store)
    assert silent(store) == []


def test_what_cannot_be_read_counts_as_silent() -> None:
    store = MemoryStore()
    store.claim(f"{BEATS}{RUN}/begun", b"rubbish")
    assert silent(store) == [RUN]
    other = Begun(host="elsewhere", pid=1, ticks=1, at=datetime.now(UTC))
    store.claim(f"{BEATS}b/begun", other.canonical())
    store.claim(f"{BEATS}b/000001", b"yesterday")
    assert silent(store) == [RUN, "b"]


def test_a_store_that_is_away_stops_no_run() -> None:
    class Away(MemoryStore):
        def claim(self, name: str, data: bytes) -> bool:  # noqa: ARG002 - as the store's
            raise StoreError("gone")

    pulse = Pulse(Away(), RUN, every_seconds=0.001)
    pulse.start()
    time.sleep(0.01)
    pulse.stop()
