"""A flow run whose process was killed is marked as crashed in the real server."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.test_filling import asked
from tests.services.processes import wait_until

ROOT = Path(__file__).parent.parent.parent
WORK = """
import time
from prefect import flow
from tasks.runtime import _start_pulse

@flow
def work_for_ever():
    _start_pulse()
    time.sleep(1000)

work_for_ever()
"""
MARK = """
from tasks.beating.stage import mark_crashed
from tasks.runtime import services
print(len(mark_crashed(services().store)))
"""


@pytest.mark.slow
def test_a_killed_flow_run_is_marked_and_a_living_one_is_not(server: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {
        **os.environ, "PREFECT_API_URL": server, "PROOFHOUSE_HOME": str(home),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip

    def mark() -> str:
        done = subprocess.run(
            [sys.executable, "-c", MARK], env=environment, cwd=ROOT, capture_output=True,
            text=True, timeout=200, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def state() -> str:
        flows = {"flows": {"name": {"any_": ["work-for-ever"]}}}
        [run] = asked(server, "/flow_runs/filter", flows)
        return str(run["state"]["type"])

    child = subprocess.Popen([sys.executable, "-c", WORK], env=environment, cwd=ROOT)
    beats = home / "store" / "claims" / "beats"
    try:
        wait_until(lambda: beats.exists() and any(beats.iterdir()), what="a pulse", seconds=120)
        assert (mark(), state()) == ("0", "RUNNING")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert (mark(), state()) == ("1", "CRASHED")
    assert mark() == "0", "it is laid to rest"
