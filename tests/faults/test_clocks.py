"""Clocks a day off, and set back during a run: told in the evidence, and nothing goes by them.

Rows 16 and 17 of the fault scorecard. The worker's machine and the coordinator's are processes with
clocks of their own. That order is the log's is tested where order is asked for: inventory, nights,
the version to go back to.
"""

import contextlib
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tasks.domain.run import RunRecord
from tasks.ledger.seal import sealed_run
from tasks.store.local import LocalStore
from tests.e2e import hostile_bundles as hostile
from tests.faults.test_onboarding_kill import claims, wait_until
from tests.services.clocks import MovedClock, build_library
from tests.services.installed import Proofhouse
from tests.services.processes import Child, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
REVIEW = 3
DAY = 86_400
BATTERY = ("--battery", "test.first", "--json")
CLUSTER = """
import sys, threading
from distributed import LocalCluster
import tasks.streams
with LocalCluster(1, threads_per_worker=1, processes=False, host="127.0.0.1",
                  scheduler_port=int(sys.argv[1]), dashboard_address=None):
    print("ready", flush=True)
    threading.Event().wait()
"""


@contextlib.contextmanager
def cluster(house: Proofhouse, log: Path) -> Iterator[str]:
    """A scheduler and its worker, as on another machine."""
    port = free_port()
    child = Child([sys.executable, "-c", CLUSTER, str(port)], log=log, env=house.environment)
    try:
        wait_until(lambda: "ready" in log.read_text(), "the cluster")
        yield f"tcp://127.0.0.1:{port}"
    finally:
        child.kill()


def clocks(folder: Path) -> tuple[MovedClock, MovedClock]:
    library = build_library(folder)
    made = []
    for name in ("here", "there"):
        (folder / name).mkdir()
        made.append(MovedClock(folder / name, library))
    return made[0], made[1]


def record_of(home: Path) -> RunRecord:
    [claim] = claims(home, "runs")
    found = sealed_run(LocalStore(home / "store"), claim.name.rstrip("="))
    assert found is not None
    return found[0]


def near(seconds: float, expected: float) -> bool:
    return abs(seconds - expected) < 200


def test_clocks_that_are_wrong_or_set_back_are_told_and_nothing_goes_by_them(
    fresh_house: Proofhouse, tmp_path: Path
) -> None:
    here, there = clocks(tmp_path)
    there.move(+DAY)
    house, home = fresh_house, fresh_house.home
    bundle = hostile.write_bundle(tmp_path / "bundle", "model.pt", hostile.fine)
    worker = Proofhouse(home, house.environment | there.environment)
    with cluster(worker, tmp_path / "cluster") as address:
        told = {
            "PROOFHOUSE_COMPUTE__KIND": "scheduler",
            "PROOFHOUSE_COMPUTE__SCHEDULER": address,
        }
        log = tmp_path / "log"
        moved = Proofhouse(home, house.environment | here.environment | told)
        flow = moved.start("onboard", bundle, *BATTERY, log=log)
        wait_until(lambda: "[1/2]" in log.read_text() or flow.poll() is not None, "a first answer")
        here.move(-DAY)
        there.move(-DAY)
        assert flow.wait(timeout=300) == REVIEW, log.read_text()

    record = record_of(home)
    first, second = record.executions
    assert near(first.skew_seconds, DAY)
    assert near(second.skew_seconds, -DAY)
    assert set(record.clocks) == {first.check, second.check, "run"}
    assert record.clocks["run"].endswith("86400 s behind")
    lasted = datetime.fromisoformat(record.sealed) - datetime.fromisoformat(record.started)
    assert timedelta(0) < lasted < timedelta(seconds=300)
    assert all(0 < execution.seconds < 300 for execution in record.executions)

    verified = house("verify", "--all", "--json")
    assert verified.code == 0, verified.out
    notes = [note for note in verified.document["notes"] if "clocks disagreed" in note]
    assert len(notes) == len(record.clocks)
