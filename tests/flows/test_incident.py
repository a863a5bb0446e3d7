"""A playbook followed by a real flow run: it waits with a form, dies, and is followed on."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.store.local import LocalStore
from tests.flows.test_filling import asked, form_of
from tests.services.processes import wait_until
from tests.tasks.response.cases import PLAYBOOK, incident, world

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import json, sys
from flows.incident import respond_to_incident
from tasks.forms import IncidentForm

form = IncidentForm.model_validate_json(sys.argv[1])
print(json.dumps(respond_to_incident("incident.small", form)))
"""


@pytest.fixture
def places(server: str, tmp_path: Path) -> dict[str, str]:
    """A home with one approved asset, and a catalog with one small playbook."""
    place = world(tmp_path, LocalStore(tmp_path / "home" / "store"))
    folder = tmp_path / "catalogs" / "playbooks" / "incident"
    folder.mkdir(parents=True)
    entry = PLAYBOOK.model_dump(mode="json", exclude_none=True)
    (folder / "small.yaml").write_text(yaml.safe_dump(entry, sort_keys=False))
    return {
        "PREFECT_API_URL": server,
        "PROOFHOUSE_HOME": str(place.home),
        "PROOFHOUSE_CATALOGS": str(tmp_path / "catalogs"),
        "PYTHONPATH": str(ROOT),
    }


@contextmanager
def following(places: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    told = incident().model_dump(mode="json", by_alias=True, exclude={"schema_", "run"})
    flow = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(told)],
        env=os.environ | places, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield flow
    finally:
        flow.kill()
        flow.communicate()


def waiting(server: str, flow: subprocess.Popen[str], besides: str = "") -> dict[str, Any]:
    """Returns the run that waits, other than a run of before, when its form is there."""
    name = {"flows": {"name": {"any_": ["respond-to-incident"]}}}

    def found() -> dict[str, Any] | None:
        assert flow.poll() is None, flow.communicate()[1]
        runs = [run for run in asked(server, "/flow_runs/filter", name) if run["id"] != besides]
        paused = (run for run in runs if run["state"]["type"] == "PAUSED")
        return next((run for run in paused if form_of(server, run)), None)

    wait_until(lambda: found() is not None, what="the form", seconds=180)
    run = found()
    assert run is not None
    return run


def say(server: str, run: dict[str, Any], **given: Any) -> None:
    answer = asked(server, f"/flow_runs/{run['id']}/resume", {"run_input": {"by": "Eve", **given}})
    assert answer["status"] == "ACCEPT", answer


@pytest.mark.slow
def test_people_answer_in_forms_and_a_dead_run_is_followed_on(
    server: str, places: dict[str, str]
) -> None:
    with following(places) as flow:
        first = waiting(server, flow)
        form = form_of(server, first)
        assert form is not None
        assert form["properties"]["done"]["enum"] == ["nothing yet", "declare"]
        say(server, first, done="declare", note="seen the witness", facts={"hostile": False})
        wait_until(lambda: steps(places)[-1:] == ["gate"], what="the machine's steps", seconds=180)
        flow.send_signal(signal.SIGKILL)
        flow.wait()
    before = steps(places)
    with following(places) as flow:
        second = waiting(server, flow, besides=first["id"])
        assert steps(places) == before, "nothing was done twice"
        say(server, second, done="review")
        out, err = flow.communicate(timeout=240)
    assert flow.returncode == 0, err
    document = json.loads(out.splitlines()[-1])
    assert document["closed"]
    assert {row["step"]: row["standing"] for row in document["steps"]}["gate"] == "skipped"


def steps(places: dict[str, str]) -> list[str]:
    """Returns the steps that ended, in order."""
    store = LocalStore(Path(places["PROOFHOUSE_HOME"]) / "store")
    events = [
        json.loads(store.claimed(name) or b"")
        for name in store.claims("cases/")
        if name.rpartition("/")[2].isdecimal()
    ]
    return [event["step"] for event in events if event["kind"] == "ended"]
