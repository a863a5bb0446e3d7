"""Alarms as an operator meets them: carried on, listed, and waiting where nobody answers."""

from pathlib import Path

import pytest

from tests.tasks.alarms.lines import gateway_raises
from tests.tasks.commands.test_commands import Run, document, run

__all__ = ["run"]  # a fixture, found by its name here


def test_alarms_of_a_gateway_without_a_server_wait_and_say_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    gateway_raises(tmp_path / "home", "partner-1")
    found = document(run("events", "forward", "--once", "--json"))
    assert (len(found["new"]), found["waiting"], found["prefect"]) == (1, found["new"], "")
    listed = run("events", "alarms", "--json")
    assert listed.exit_code == 1, "something waits for an answer"
    (row,) = document(listed)["alarms"]
    assert (row["alarm"], row["accounts"], row["answer"]) == (found["new"][0], ["partner-1"], None)
    assert "WAITS for an answer" in run("events", "alarms").stdout
    again = run("events", "forward", "--once")
    assert "0 new alarms, 0 known" in again.stdout
    assert "no Prefect server is known here" in again.stdout
