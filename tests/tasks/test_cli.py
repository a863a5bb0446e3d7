"""Every command is known, says what it does with an example, and is quick to say so."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from tasks import cli

COMMANDS = (
    ["demo"], ["onboard"], ["scan"], ["sign"], ["verify"], ["report"], ["serve"], ["doctor"],
    ["keys", "init"], ["catalog", "list"], ["catalog", "show"], ["catalog", "check"],
    ["inventory", "assets"], ["inventory", "runs"], ["vendors", "list"], ["vendors", "show"],
    ["vendors", "add"], ["vendors", "trust"], ["vendors", "approve"], ["vendors", "suspend"],
    ["vendors", "offboard"], ["approve", "tier"], ["approve", "finding"], ["approve", "list"],
    ["review-dataset"], ["intake", "once"], ["intake", "watch"],
    ["assess"], ["retrain"], ["harden"], ["repair"], ["respond"],
    ["cases", "list"], ["cases", "show"],
    ["drill"], ["drills", "list"], ["drills", "items"], ["drills", "close"], ["approve", "step"],
    ["gateway", "serve"], ["gateway", "calibrate"], ["gateway", "throttle"], ["gateway", "reauth"],
    ["gateway", "kill"], ["gateway", "share"], ["gateway", "keys", "add"],
    ["gateway", "keys", "list"], ["gateway", "keys", "revoke"], ["drift"], ["nightly"],
    ["canary", "start"], ["canary", "status"], ["canary", "signal"], ["canary", "promote"],
    ["canary", "rollback"], ["events", "listen"], ["events", "token"], ["registry", "add"],
    ["events", "alarms"], ["events", "forward"],
    ["registry", "check"], ["registry", "export"], ["registry", "list"], ["registry", "promote"],
    ["registry", "rollback"], ["registry", "show"], ["registry", "sync"], ["registry", "withdraw"],
    ["manifest"], ["profile"], ["quarantine"], ["playbooks", "list"], ["playbooks", "export"],
    ["playbooks", "import"],
)  # fmt: skip


def registered(app: typer.Typer, *before: str) -> set[tuple[str, ...]]:
    own = {
        (*before, command.name or command.callback.__name__)
        for command in app.registered_commands
        if command.callback
    }
    below = [
        registered(group.typer_instance, *before, group.name or "")
        for group in app.registered_groups
        if group.typer_instance
    ]
    return own.union(*below)


def test_every_command_is_in_these_tests() -> None:
    assert registered(cli.app) == {tuple(command) for command in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*command, "--help"])
    assert result.exit_code == 0
    assert f"Example: proofhouse {' '.join(command)}" in " ".join(result.stdout.split())


def test_help_is_instant() -> None:
    heavy = {"torch", "prefect", "dask", "distributed", "pydantic_settings", "numpy", "sqlalchemy"}
    code = (
        "import sys; from typer.testing import CliRunner; from tasks.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
