"""The gateway's commands: keys, actions, and what is refused before anything is served."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tasks import cli
from tasks.gateway.actions import ControlFile, gateway_folder
from tests.tasks.commands.test_commands import document

Run = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(home))
    for name in ("PROOFHOUSE_PROFILE", "PROOFHOUSE_STORE", "PROOFHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: CliRunner().invoke(cli.app, ["gateway", *map(str, words)])


def test_a_key_is_shown_once_and_kept_as_a_hash(run: Run, home: Path) -> None:
    made = document(run("keys", "add", "acme-app", "--role", "partner", "--json"))
    secret = made["key"].rpartition("_")[2]
    listed = run("keys", "list", "--json")
    assert [key["account"] for key in document(listed)["keys"]] == ["acme-app"]
    kept = (gateway_folder(home) / "keys.json").read_text(encoding="utf-8")
    assert secret not in kept
    assert secret not in listed.stdout
    assert "sha256" not in listed.stdout
    assert (gateway_folder(home) / "keys.json").stat().st_mode & 0o077 == 0


def test_keys_are_revoked_and_given_back(run: Run) -> None:
    made = document(run("keys", "add", "acme-app", "--role", "partner", "--json"))
    assert document(run("keys", "revoke", "acme-app", "--json"))["now"] == [made["id"]]
    assert "revoked" in run("keys", "list").stdout
    run("keys", "revoke", made["id"], "--undo")
    assert document(run("keys", "list", "--json"))["keys"][0]["revoked"] is False


@pytest.mark.parametrize(
    "words",
    [
        ["keys", "add", "acme app", "--role", "partner"],
        ["keys", "add", "acme", "--role", "Partner"],
        ["keys", "add", "acme", "--role", "partner", "--days", "0"],
        ["keys", "revoke", "nobody"],
        ["throttle", "acme", "--factor", "0"],
        ["share", "120"],
        ["Acme/unknown@1"],
        ["Acme/unknown@1", "--certificate", "c.pem"],
        ["serve", "Acme/unknown@1", "--policy", "missing.toml"],
        ["calibrate", "Acme/unknown@1"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_told(run: Run, home: Path, words: list[str]) -> None:
    home.mkdir()
    result = run(*words)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert len(result.output) > 20


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["throttle", "acme", "--factor", "0.5"], "throttled", {"acme": 0.5}),
        (["kill", "--reason", "INC-7"], "killed", "INC-7"),
        (["share", "25"], "canary_percent", 25.0),
    ],
)
def test_actions_come_into_force_and_are_taken_back(
    run: Run, home: Path, words: list[str], field: str, value: Any
) -> None:
    assert document(run(*words, "--json"))["now"][field] == value
    assert getattr(ControlFile(gateway_folder(home)).read(), field) == value
    assert run(*words, "--undo").exit_code == 0
    assert not getattr(ControlFile(gateway_folder(home)).read(), field)


def test_reauthentication_asks_for_keys_made_later(run: Run) -> None:
    told = document(run("reauth", "acme", "--json"))["now"]
    assert list(told["reauthenticate"]) == ["acme"]
    assert run("reauth", "acme", "--undo").exit_code == 0
