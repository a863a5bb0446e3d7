"""``proofhouse vendors`` as an operator meets it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tasks import cli
from tasks.intake.writing import make_vendor_key

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PROOFHOUSE_HOME", str(tmp_path / "home"))
    for name in ("PROOFHOUSE_PROFILE", "PROOFHOUSE_STORE", "PROOFHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words: object, code: int = 0) -> Any:
        result = CliRunner().invoke(cli.app, ["vendors", *map(str, words), "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    return invoke


def test_a_vendor_is_added_approved_and_suspended(run: Run) -> None:
    assert run("add", "Acme Vision", "--contact", "a@acme.example")["state"] == "prospective"
    assert run("approve", "acme-vision", "--by", "eve")["review_due"]
    assert run("suspend", "Acme Vision", "--reason", "key leaked")["state"] == "suspended"
    shown = run("show", "ACME VISION")
    assert [(row["state"], row["reason"]) for row in shown["history"]] == [
        ("prospective", ""), ("approved", ""), ("suspended", "key leaked"),
    ]  # fmt: skip
    assert shown["history"][1]["who"] == "eve"
    assert [row["vendor"] for row in run("list")["vendors"]] == ["acme-vision"]


def test_a_key_is_bound_once_and_copied_into_the_home(run: Run, tmp_path: Path) -> None:
    public = make_vendor_key(tmp_path / "acme.pem")
    [key] = run("add", "Acme", "--key", public)["keys"]
    copy = tmp_path / "home" / "vendors" / key["source"]
    assert copy.read_bytes() == public.read_bytes()
    assert run("trust", "Acme", public)["keys"] == [key]
    run("add", "Northwind")
    assert "vouches for acme" in run("trust", "Northwind", public, code=2)["error"]["text"]


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "suspending without a reason": (("suspend", "Acme"), "--reason"),
    "an unknown vendor": (("suspend", "Nobody", "--reason", "x"), "not in the vendor register"),
    "no name": (("add", " - "), "needs a letter"),
    "no key": (("trust", "Acme", "/nowhere/key.pub"), "cannot be read"),
    "something else than a key": (("add", "Acme", "--key", __file__), "PEM public key"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_explained(run: Run, name: str) -> None:
    run("add", "Acme")
    words, told = BAD[name]
    assert told in run(*words, code=2)["error"]["text"]
