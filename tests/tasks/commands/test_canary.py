"""``proofhouse canary`` as an MLOps engineer meets it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tasks import cli, runtime
from tests.tasks.registry.homes import MODEL, Home, new_home

ONE, TWO = f"{MODEL}@1", f"{MODEL}@2"
SAID = ("--reason", "we know it", "--by", "Eve")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    made = new_home(tmp_path)
    monkeypatch.setenv("PROOFHOUSE_HOME", str(made.path))
    for name in ("PROOFHOUSE_PROFILE", "PROOFHOUSE_STORE", "PROOFHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    runtime.services.cache_clear()
    for version in ("1", "2"):
        made.seal(version)
    yield made
    runtime.services.cache_clear()


def run(*words: object, code: int = 0, group: str = "canary") -> Any:
    result = CliRunner().invoke(cli.app, [group, *map(str, words), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_canary_waits_for_evidence_and_a_person_may_answer_for_it(home: Home) -> None:
    run("add", ONE, group="registry")
    assert run("status") == {"canaries": []}
    assert run("start", ONE)["aliases"] == {"canary": ONE}
    [canary] = run("status")["canaries"]
    assert (canary["asset"], canary["answer"]) == (ONE, "wait")
    refused = run("promote", ONE, code=3)
    assert (refused["promoted"], refused["answer"]) == (False, "wait")
    assert "needs a --reason" in run("promote", ONE, "--despite-evidence", code=2)["error"]["text"]
    assert run("promote", ONE, "--despite-evidence", *SAID)["aliases"] == {"champion": ONE}


def test_a_signal_speaks_against_a_canary_and_it_is_rolled_back(home: Home) -> None:
    for asset, alias in ((ONE, "champion"), (TWO, "canary")):
        run("add", asset, group="registry")
        run("promote", asset, "--alias", alias, *SAID, group="registry")
    kept = run("signal", TWO, "--kind", "drift", "--severity", "high", *SAID)
    assert kept["signal"].startswith("sha256:")
    [canary] = run("status", TWO, code=1)["canaries"]
    assert (canary["answer"], canary["evidence"]) == ("rollback", [kept["signal"]])
    assert run("rollback", TWO, *SAID)["aliases"] == {"champion": ONE}
    assert "is no canary" in run("rollback", TWO, *SAID, code=2)["error"]["text"]


BAD = {
    "no such severity": (("signal", ONE, "--kind", "x", "--severity", "bad", *SAID), "is unknown"),
    "days that contradict": (("status", "--days", "9", "--longest", "8"), "--longest not less"),
    "no canary": (("status", ONE), "is no canary"),
    "not registered": (("start", ONE), "not registered"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_explained(home: Home, name: str) -> None:
    words, told = BAD[name]
    assert told in run(*words, code=2)["error"]["text"]
