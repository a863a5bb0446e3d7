"""``proofhouse drill`` with a live-fire drill: what it says, writes and exits with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tasks import cli
from tasks.catalog.reading import Catalog
from tasks.domain.live_drill import LiveResult
from tasks.drilling import LiveFire
from tests.tasks.response.live.results import DRILL, failed, result

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path / "home"))
    return lambda *words: CliRunner().invoke(cli.app, [*words])


def held(monkeypatch: pytest.MonkeyPatch, now: LiveResult, before: LiveResult | None = None) -> Any:
    asked: dict[str, Any] = {}

    def fire(name: str, **given: Any) -> LiveFire:
        asked.update(given, name=name)
        given["say"]("   1.00 s  attack      it begins")
        return LiveFire(Catalog().live_drill(name), now, "sha256:" + "3" * 64, before)  # type: ignore[arg-type]

    monkeypatch.setattr("tasks.drilling.live_fire", fire)
    return asked


@pytest.mark.parametrize("name", [DRILL, DRILL.partition(".")[2]])
def test_a_drill_that_was_passed_exits_with_nothing_wrong(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked = held(monkeypatch, result(1), result())
    done = run("drill", name, "--team", "night shift", "--faster", "3", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["passed"], told["contained"], told["score"]) == (True, True, 1)
    assert told["compared"][0]["change"] == "as before"
    assert Path(told["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (asked["team"], asked["faster"]) == ("night shift", 3)
    assert "it begins" in done.stderr


def test_a_containment_that_failed_exits_as_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(monkeypatch, failed())
    done = run("drill", DRILL)
    assert done.exit_code == 1
    assert "NOT CONTAINED" in done.stdout
    assert "MISSED  detected: nobody noticed" in done.stdout


def test_a_limit_that_was_missed_exits_as_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    objectives = (
        result().objectives[0],
        result().objectives[1].model_copy(update={"held": False}),
    )
    held(monkeypatch, result(objectives=objectives))
    done = run("drill", DRILL, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["contained"], told["passed"]) == (True, False)


def test_nobody_answers_a_live_drill(run: Run, tmp_path: Path) -> None:
    done = run("drill", DRILL, "--answers", str(tmp_path / "answers.yaml"))
    assert done.exit_code == 2
    assert "live-fire" in done.stderr


def test_both_kinds_are_listed(run: Run) -> None:
    rows = json.loads(run("drills", "list", "--json").stdout)["drills"]
    kinds = {row["drill"]: row["kind"] for row in rows}
    assert kinds[DRILL] == "live"
    assert kinds["tabletop.poisoned_labels"] == "tabletop"
    assert f"{DRILL}  live fire" in run("drills", "list").stdout


def test_an_entry_is_shown(run: Run) -> None:
    shown = json.loads(run("catalog", "show", DRILL, "--json").stdout)
    assert shown["attack"]["accounts"] == 3
