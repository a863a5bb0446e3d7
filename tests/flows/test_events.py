"""Events at the real Prefect server: automations start deployments, once for each event."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.test_filling import asked
from tests.services.processes import wait_until

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import sys
from tasks.events.receiver import Desk
from tasks.events.reading import Place
from tasks.events.stage import emit, make_automations
from tasks.runtime import register_deployments
from tests.simulators.store import MemoryStore
from tests.tasks.events.webhooks import NOW, PUSH, SECRET, git_headers, notification, record

for _ in range(2):
    register_deployments()
    make_automations()
desk = Desk(SECRET, (Place("intake", "bundles"),), MemoryStore(), emit, lambda: NOW)
for _ in range(100):
    desk.take("s3", {}, notification(record("bundles/first/bundle.yaml")))
for _ in range(3):
    emit_again = desk._replace(store=MemoryStore())
    emit_again.take("s3", {}, notification(record("bundles/second/bundle.yaml")))
desk.take("git", git_headers(PUSH), PUSH)
"""


def started(url: str, deployment: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(
        url,
        "/flow_runs/filter",
        {"deployments": {"name": {"any_": [deployment]}}, "limit": 200},
    )
    return [run for run in found if run["created_by"] and run["created_by"]["type"] == "AUTOMATION"]


@pytest.mark.slow
def test_a_hundred_equal_events_start_one_run(server: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PREFECT_API_URL": server,
        "PROOFHOUSE_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    # The push came last, but automations act side by side.
    wait_until(
        lambda: (
            bool(started(server, "reassess-nightly"))
            and {"first", "second"}
            <= {run["parameters"]["drop"] for run in started(server, "take-in-drops")}
        ),
        what="the runs after the drops and the push",
        seconds=120,
    )
    runs = started(server, "take-in-drops")
    drops = [run["parameters"]["drop"] for run in runs]
    assert drops.count("first") == 1
    assert 1 <= drops.count("second") <= 3, "handed on thrice after crashes; looking is idempotent"
    assert {run["parameters"]["place"] for run in runs} == {"s3://intake/bundles"}
    named = asked(server, "/automations/filter", {})
    assert sorted(one["name"] for one in named if one["name"].startswith("proofhouse")) == [
        "proofhouse: answer an alarm",
        "proofhouse: reassess after a push",
        "proofhouse: show the registry as it is",
        "proofhouse: take in what was dropped",
    ]
    assert json.dumps(named)
