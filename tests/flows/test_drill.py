"""A drill held by a real flow run: typed forms, a death in the middle, one signed result."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.flows.test_filling import asked, form_of
from tests.services.processes import wait_until
from tests.tasks.response.rehearsing.small import DRILL, catalog_of

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import json, sys
from flows.drill import hold_drill
from tasks.forms import TableForm

table = TableForm(faster=10_000, session=sys.argv[1])
print(json.dumps(hold_drill("tabletop.small", table=table)))
"""
SESSION = "session-0123456789abcdef0123"


@contextmanager
def holding(places: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    flow = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, SESSION], env=os.environ | places, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield flow
    finally:
        flow.kill()
        flow.communicate()


def waiting(
    server: str, flow: subprocess.Popen[str], field: str, title: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the run that shows a form with this field, and the form."""
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def there() -> bool:
        assert flow.poll() is None, flow.communicate()[1][-3000:]
        runs = asked(server, "/flow_runs/filter", {"flows": {"name": {"any_": ["hold-drill"]}}})
        for run in runs:
            form = form_of(server, run) if run["state"]["type"] == "PAUSED" else None
            told = form["properties"].get(field, {}) if form else {}
            if told and title in str(told.get("title", "")):
                assert form is not None
                found.append((run, form))
        return bool(found)

    wait_until(there, what=f"the form with {field} {title}", seconds=180)
    return found[0]


def say(server: str, run: dict[str, Any], **given: Any) -> str:
    answer = asked(server, f"/flow_runs/{run['id']}/resume", {"run_input": given})
    return str(answer["status"])


@pytest.mark.slow
def test_a_drill_is_played_in_forms_and_outlives_its_process(server: str, tmp_path: Path) -> None:
    places = {
        "PREFECT_API_URL": server,
        "PROOFHOUSE_HOME": str(tmp_path / "home"),
        "PROOFHOUSE_CATALOGS": str(catalog_of(tmp_path)),
        "PYTHONPATH": str(ROOT),
    }
    first, second, third, last = (one.question for one in DRILL.decisions)
    with holding(places) as flow:
        run, form = waiting(server, flow, "team")
        assert form["properties"]["lead"]["title"] == "Incident lead"
        assert say(server, run, team="Blue", lead="Eve") == "ACCEPT"
        run, form = waiting(server, flow, "answer", first)
        assert form["properties"]["answer"]["type"] == "boolean"
        assert say(server, run, answer="perhaps") == "REJECT"
        assert say(server, run, answer=True, by="Eve") == "ACCEPT"
        waiting(server, flow, "answer", second)
        flow.kill()  # nobody is told
        flow.wait()
    dead = run["id"]
    asked(server, f"/flow_runs/{dead}/set_state", {"state": {"type": "CRASHED"}, "force": True})
    with holding(places) as flow:
        run, form = waiting(server, flow, "answer", second)
        assert run["id"] != dead
        assert form["properties"]["answer"]["enum"] == ["take it out", "wait and see"]
        assert say(server, run, answer="take it out") == "ACCEPT"
        run, _ = waiting(server, flow, "answer", third)
        assert say(server, run, answer="The run and its digest.") == "ACCEPT"
        run, _ = waiting(server, flow, "answer", last)
        assert say(server, run, answer=True, leave_open=True) == "ACCEPT"
        out, err = flow.communicate(timeout=240)
    assert flow.returncode == 0, err[-3000:]
    document = json.loads(out.splitlines()[-1])
    shares = {one["decision"]: one["share"] for one in document["decisions"]}
    assert shares == {"declare_it": 1.0, "contain_it": 1.0, "say_it": 1.0, "tell_them": 0.0}
    assert document["team"] == "Blue"
    assert Path(document["report"]).is_file()
    stories = asked(server, "/artifacts/filter", {"artifacts": {"key": {"any_": [SESSION]}}})
    assert any("The press calls" in story["data"] for story in stories)
