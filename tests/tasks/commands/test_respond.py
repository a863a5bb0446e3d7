"""``proofhouse respond``, ``cases``, ``drill`` and ``drills``, as a responder meets them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tasks import cli
from tasks.inventory.database import Inventory
from tests.tasks.inventory.records import ASSET, STATEMENT, record

Run = Callable[..., Any]
INCIDENT = f"""schema: proofhouse.incident/1
title: Trigger found in the digit reader
detected: 2026-11-02T06:10:00Z
aware: 2026-11-02T06:40:00Z
asset: {ASSET}
vendor: Acme Vision
"""
HELD = datetime.now(UTC).replace(microsecond=0).isoformat()
ANSWERS = f"""schema: proofhouse.answers/1
drill: tabletop.backdoored_vendor_model
team: Blue
held: {HELD}
answers:
  declare: {{answer: true, at_minutes: 12, by: Eve}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    monkeypatch.setenv("PROOFHOUSE_HOME", str(made))
    for name in ("PROOFHOUSE_PROFILE", "PROOFHOUSE_STORE", "PROOFHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    address = f"sqlite:///{made / 'inventory.sqlite'}"
    Inventory(address).record_run(record(), statement=STATEMENT, ledger_index=0)
    (tmp_path / "incident.yaml").write_text(INCIDENT)
    (tmp_path / "answers.yaml").write_text(ANSWERS)
    return made


@pytest.fixture
def run(home: Path, tmp_path: Path) -> Run:
    """Runs a command; ``INCIDENT`` and ``ANSWERS`` stand for the files."""

    def called(*arguments: str, code: int = 0) -> Any:
        places = {"INCIDENT": tmp_path / "incident.yaml", "ANSWERS": tmp_path / "answers.yaml"}
        words = [str(places.get(word, word)) for word in arguments]
        result = CliRunner().invoke(cli.app, [*words, "--json"])
        assert result.exit_code == code, (result.output, result.stderr, home)
        return json.loads(result.stdout)

    return called


def standing(document: Any, step: str) -> str:
    return next(str(row["standing"]) for row in document["steps"] if row["step"] == step)


def test_a_case_goes_on_with_every_call(run: Run) -> None:
    respond = ("respond", "model_compromise", "--incident", "INCIDENT")
    opened = run(*respond, code=3)
    assert standing(opened, "declare") == "ready"
    going = run(*respond, "--done", "declare", "--by", "Eve", "--fact", "vendor_fault=true", code=3)
    assert going["case"] == opened["case"]
    assert standing(going, "snapshot") == standing(going, "quarantine") == "done"
    assert standing(going, "tell_siem") == "failed"  # no SIEM is set up here
    assert {clock["runs"] for clock in going["clocks"]} == {None}
    (row,) = run("cases", "list")["cases"]
    assert row["case"] == opened["case"]
    shown = run("cases", "show", opened["case"], code=3)
    assert [event["number"] for event in shown["timeline"]] == list(range(len(shown["timeline"])))


def test_a_gate_is_answered_by_a_signed_approval(run: Run) -> None:
    respond = ("respond", "model_compromise", "--incident", "INCIDENT")
    case = run(*respond, "--done", "declare", "--fact", "vendor_fault=true", code=3)["case"]
    waiting = run(*respond, "--done", "origin", "--note", "the delivery was hostile", code=3)
    assert standing(waiting, "vendor_gate") == "ready"
    approved = run("approve", "step", case, "vendor_gate", "--reason", "hostile", "--by", "Eve")
    assert (approved["kind"], approved["granted"]) == ("step", True)
    after = run(*respond, code=3)
    assert standing(after, "vendor_gate") == "done"
    assert "Eve" in {row["by"] for row in after["steps"]}
    refused = run("approve", "step", case, "coffee", "--reason", "why not", code=2)
    assert "no gate called 'coffee'" in refused["error"]["text"]


def test_a_dry_run_is_a_case_of_its_own(run: Run, home: Path) -> None:
    dry = run("respond", "model_compromise", "--incident", "INCIDENT", "--dry-run")
    assert dry["closed"]
    assert {row["standing"] for row in dry["steps"]} == {"done"}
    (asset,) = Inventory(f"sqlite:///{home / 'inventory.sqlite'}").assets()
    assert asset.state == "approved"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("respond", "model_compromise", "--incident", "nowhere.yaml"), "does not exist"),
        (("respond", "model_compromise", "--incident", "ANSWERS"), "is no incident file"),
        (("respond", "no_such", "--incident", "INCIDENT"), "Known entries"),
        (("respond", "model_compromise", "--incident", "INCIDENT", "--fact", "x"), "name=value"),
        (("respond", "model_compromise", "--incident", "INCIDENT", "--done", "review"), "declare"),
        (("respond", "model_compromise", "--incident", "INCIDENT", "--undo", "freeze"), "not done"),
        (("cases", "show", "case-0"), "no case is called"),
        (("drill", "backdoored_vendor_model", "--answers", "INCIDENT"), "is no answers file"),
        (("drill", "backdoored_vendor_model"), "played at a terminal"),
        (("drills", "close", "item-0", "--reason", "done"), "no improvement is called"),
    ],
)
def test_bad_input_is_told(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert words in run(*arguments, code=2)["error"]["text"]


def test_a_drill_is_scored_reported_and_followed_up(run: Run, home: Path) -> None:
    result = run("drill", "backdoored_vendor_model", "--answers", "ANSWERS", code=1)
    assert 0 < result["score"] < 0.5
    assert not result["passed"]
    assert Path(result["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    listed = run("drills", "items", code=0)["items"]
    assert len(listed) == len(result["improvements"]) > 5
    run("drills", "close", listed[0]["item"], "--reason", "the right is given", "--by", "Eve")
    after = run("drills", "items", code=0)["items"]
    assert after[-1]["closed"]["by"] == "Eve"
    assert run("drills", "list")["drills"]
    assert (home / "drills").is_dir()


def test_a_playbook_goes_out_as_cacao_and_comes_back(run: Run, tmp_path: Path) -> None:
    (listed, *_) = run("playbooks", "list")["playbooks"]
    place = tmp_path / "cacao.json"
    run("playbooks", "export", listed["playbook"], "--out", str(place))
    assert json.loads(place.read_text())["spec_version"] == "cacao-2.0"
    assert run("playbooks", "import", str(place))["id"] == listed["playbook"]
    for spoilt in ("{", "[]", "{}"):
        place.write_text(spoilt)
        assert run("playbooks", "import", str(place), code=2)["error"]["text"]
