"""Alarms at the real Prefect server: a hundred equal ones are one case and one run a playbook."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.test_events import started
from tests.flows.test_filling import asked
from tests.services.processes import wait_until
from tests.tasks.alarms.lines import append, gateway_raises

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import json
from flows.alarms import answer_alarms
from tasks.alarms.outbox import alarm_names
from tasks.casework import world_of
from tasks.commands.forward import forward_answer
from tasks.events.stage import make_automations
from tasks.gateway.actions import gateway_folder
from tasks.runtime import register_deployments
from tasks.settings import read_settings

register_deployments()
make_automations()
world = world_of(read_settings())
for _ in range(3):
    forward_answer(once=True)
    (gateway_folder(world.home) / "alarms.position.json").unlink()  # as if it had died
first, second = alarm_names(world.store)
print(json.dumps([answer_alarms(first), answer_alarms(first), answer_alarms(None)]))
"""
RUN = """
import json, sys
from flows.incident import respond_to_incident
from tasks.forms import IncidentForm

told = json.loads(sys.argv[1])
form = IncidentForm.model_validate(told["incident"])
print(json.dumps(respond_to_incident(told["playbook"], form, told["dry_run"])))
"""


def ran(program: str, places: dict[str, str], *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=os.environ | places, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_hundred_equal_alarms_are_one_case_for_each_playbook(server: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    places = {
        "PREFECT_API_URL": server,
        "PROOFHOUSE_HOME": str(home),
        "PROOFHOUSE_TRIGGERS__PLAYBOOKS": json.dumps({"incident.prompt_injection": "off"}),
        "PYTHONPATH": str(ROOT),
    }
    for minute in range(100):
        append(home, "thief", at=f"2026-11-20T07:{minute % 60:02}:00Z", score=minute)
    gateway_raises(home, "spender", monitor="quota")

    (alarms, again, nothing) = ran(PROGRAM, places)
    assert len(alarms) == 2, "what else waits is answered as well"
    assert again == alarms[:1], "the second answer is the first"
    assert nothing == []
    starts = [start for one in alarms for start in one["starts"]]
    assert {start["mode"] for start in starts} == {"dry_run", "off"}
    cases = [start["case"] for start in starts if start["mode"] == "dry_run"]
    assert len(set(cases)) == len(cases) == 4, "two playbooks for each of the alarms"

    runs = {name: run for run in all_runs(server) for name in run["tags"] if name in cases}
    assert sorted(runs) == sorted(cases)
    assert len({run["id"] for run in runs.values()}) == len(cases), "one run a case"
    wait_until(
        lambda: (
            {one["alarm"] for one in alarms}
            <= {run["parameters"]["alarm"] for run in started(server, "answer-alarms")}
        ),
        what="the automation's runs",
        seconds=120,
    )
    extraction = next(
        case for case, run in runs.items()
        if run["parameters"]["playbook"] == "incident.model_extraction"
        and run["parameters"]["incident"]["accounts"] == ["thief"]
    )  # fmt: skip
    document = ran(RUN, places, json.dumps(runs[extraction]["parameters"]))
    assert (document["case"], document["closed"]) == (extraction, True)


def all_runs(server: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(
        server,
        "/flow_runs/filter",
        {"flows": {"name": {"any_": ["respond-to-incident"]}}, "limit": 200},
    )
    return found
