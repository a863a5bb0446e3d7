"""A real flow run pauses for open answers, shows a form, refuses nonsense, and goes on."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.store.opening import open_store
from tests.services.processes import wait_until
from tests.simulators.subjects import linear_subject

BUSY_TRIES = 20
ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import sys
from prefect import flow
from tasks.intake.stage import filled

@flow
def ask_for_answers(subject: str) -> str:
    return filled(subject, ask=True)

print(ask_for_answers(sys.argv[1]))
"""


def asked(url: str, path: str, body: Any = None) -> Any:
    """Calls the API; a busy server with SQLite says 503, which is to be asked again."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - our own server on loopback
        f"{url}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    for attempt in range(BUSY_TRIES):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code != 503 or attempt == BUSY_TRIES - 1:
                raise
            time.sleep(1)
    raise AssertionError("the last attempt answers or raises")


def paused(url: str) -> dict[str, Any] | None:
    runs = asked(url, "/flow_runs/filter", {"flows": {"name": {"any_": ["ask-for-answers"]}}})
    return next((run for run in runs if run["state"]["type"] == "PAUSED"), None)


def form_of(url: str, run: dict[str, Any]) -> dict[str, Any] | None:
    key = run["state"]["state_details"]["run_input_keyset"]["schema"]
    try:
        found: dict[str, Any] = asked(url, f"/flow_runs/{run['id']}/input/{key}")
    except urllib.error.HTTPError:
        return None
    return found


@pytest.mark.slow
def test_a_paused_run_takes_typed_answers_from_the_form(server: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = open_store("", home=home)
    plain = linear_subject(store)
    given = plain.model_copy(update={"answers": {"use.impact": "serious"}})
    digest = store.put(given.canonical()).digest
    (tmp_path / "program.py").write_text(PROGRAM)
    words = [sys.executable, str(tmp_path / "program.py"), digest]
    places = {"PREFECT_API_URL": server, "PROOFHOUSE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    flow = subprocess.Popen(
        words, env=os.environ | places, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: flow.poll() is not None or paused(server) is not None, what="the pause")
        run = paused(server)
        assert run is not None, flow.communicate()[1]
        wait_until(lambda: form_of(server, run) is not None, what="the form")
        form = form_of(server, run)
        assert form is not None
        fields = form["properties"]
        assert "use__impact" not in fields, "what the vendor answered is not asked"
        assert fields["use__autonomy"]["anyOf"][0]["enum"] == ["advises", "reviewed", "alone"]
        assert fields["training__last_trained"]["anyOf"][0]["format"] == "date"
        assert fields["use__users"]["title"].endswith("?")

        resume = f"/flow_runs/{run['id']}/resume"
        wrong = {"filled_in_by": "Eve", "use__autonomy": "sometimes"}
        assert asked(server, resume, {"run_input": wrong})["status"] == "REJECT"
        right = {
            "filled_in_by": "Eve", "use__autonomy": "alone", "use__users": 12,
            "training__last_trained": "2026-01-31", "service__right_to_audit": "yes",
        }  # fmt: skip
        assert asked(server, resume, {"run_input": right})["status"] == "ACCEPT"
        out, err = flow.communicate(timeout=120)
    finally:
        flow.kill()
        flow.communicate()
    assert flow.returncode == 0, err
    whole = Subject.parse(store.get(Digest(out.strip().splitlines()[-1])))
    assert whole.answers == {"use.impact": "serious"}
    assert whole.filled == {
        "use.autonomy": "alone", "use.users": 12, "training.last_trained": "2026-01-31",
        "service.right_to_audit": True,
    }  # fmt: skip
    assert whole.filled_by == "Eve"
