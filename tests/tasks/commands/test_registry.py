"""``proofhouse registry`` as an MLOps engineer meets it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tasks import cli, runtime
from tests.tasks.registry.homes import MODEL, Home, new_home

ONE, TWO = f"{MODEL}@1", f"{MODEL}@2"
SAID = ("--reason", "two quiet weeks", "--by", "Eve")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    made = new_home(tmp_path)
    monkeypatch.setenv("PROOFHOUSE_HOME", str(made.path))
    for name in ("PROOFHOUSE_PROFILE", "PROOFHOUSE_STORE", "PROOFHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    runtime.services.cache_clear()
    made.seal("1")
    made.seal("2")
    yield made
    runtime.services.cache_clear()


def run(*words: object, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, ["registry", *map(str, words), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_model_is_entered_promoted_rolled_back_and_withdrawn(home: Home, tmp_path: Path) -> None:
    for asset in (ONE, TWO):
        run("add", asset)
        moved = run("promote", asset, "--alias", "champion", *SAID)
        assert moved["aliases"] == {"champion": asset}
        assert moved["problems"] == []
    assert run("check", f"{MODEL}@champion")["asset"] == TWO
    assert run("rollback", TWO, *SAID, "--leaving", TWO)["aliases"] == {"champion": ONE}
    assert "two quiet weeks" in run("check", TWO, code=1)["reason"]
    shown = run("show", MODEL)
    assert [row["action"] for row in shown["moves"]] == [
        "register", "promote", "register", "promote", "rollback",
    ]  # fmt: skip
    assert {row["by"] for row in shown["moves"][1::2]} == {"Eve"}
    assert shown["mirrors"] == {"inventory": []}
    rows = {row["asset"]: row["alias"] for row in run("list")["versions"]}
    assert rows == {ONE: "champion", TWO: None}
    out = tmp_path / "out"
    assert "evidence/model.sig" in run("export", ONE, "--out", out)["files"]
    assert run("withdraw", ONE, *SAID)["aliases"] == {}
    assert run("sync") == {"models": {MODEL: []}}


BAD = {
    "an unknown asset": (("add", "Nobody/x@1"), "no whole run"),
    "no such alias": (("promote", ONE, "--alias", "king", *SAID), "canary or champion"),
    "no reason": (("promote", ONE, "--alias", "canary", "--reason", " "), "--reason is empty"),
    "a model that is not there": (("show", "Nobody/x"), "not registered"),
    "no such format": (("export", ONE, "--out", "x", "--format", "tar"), "is unknown"),
    "not registered": (("promote", ONE, "--alias", "canary", *SAID), "not registered"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_explained(home: Home, name: str) -> None:
    words, told = BAD[name]
    assert told in run(*words, code=2)["error"]["text"]
    assert run("list") == {"versions": []}


def test_lines_for_people(home: Home) -> None:
    run("add", ONE)
    for words in (["list"], ["show", MODEL], ["check", ONE]):
        result = CliRunner().invoke(cli.app, ["registry", *words])
        assert result.exit_code == 0, result.output
        assert ONE in result.output
