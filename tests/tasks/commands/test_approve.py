"""``proofhouse approve`` on a sealed run, as a risk owner meets it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tasks import cli
from tasks.commands.approve import last_moment
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import Outcome, Verdict
from tasks.domain.severity import Severity
from tasks.intake.writing import make_vendor_key
from tasks.inventory.database import Inventory
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.ledger.seal import seal_run
from tasks.store.opening import open_store
from tests.tasks.inventory.records import ASSET, finding, record

Run = Callable[..., Any]
CHECK = "evasion.linf_robust_accuracy"
UNSURE = finding("could not be decided").model_copy(
    update={"outcome": Outcome.UNDECIDED, "severity": Severity.MEDIUM}
)
OTHER = finding().model_copy(update={"check": "artifact.scan"})
SEALED = record(Verdict.NEEDS_REVIEW, findings=(UNSURE, OTHER))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one sealed run whose evasion check could not be decided."""
    made = tmp_path / "home"
    monkeypatch.setenv("PROOFHOUSE_HOME", str(made))
    for name in ("PROOFHOUSE_PROFILE", "PROOFHOUSE_STORE", "PROOFHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    made.mkdir()
    signer = open_signer(None, home=made)
    sealed = seal_run(
        SEALED, store=open_store("", home=made), signer=signer, trust=trusted_keys(made)
    )
    Inventory(f"sqlite:///{made / 'inventory.sqlite'}").record_run(
        SEALED, statement=sealed.statement, ledger_index=sealed.ledger_index
    )
    return made


def run(*words: object, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, ["approve", *map(str, words), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


SAID = ("--reason", "only own staff", "--expires", "90d", "--by", "Eve")


def test_a_finding_is_accepted_as_it_was_measured(home: Path) -> None:
    made = run("finding", SEALED.run, CHECK, *SAID)
    assert made["measurement"] == UNSURE.evidence[0]
    assert (made["subject"], made["by"]) == (SEALED.subject, "Eve")
    assert made["evidence"]["ledger_index"] == 1
    [listed] = run("list")["approvals"]
    assert (listed["name"], listed["problem"]) == (made["name"], "")
    [kept] = Inventory(f"sqlite:///{home / 'inventory.sqlite'}").approvals(ASSET)
    assert (kept.name, kept.check, kept.by) == (made["name"], CHECK, "Eve")


def test_a_tier_is_approved_for_an_asset_that_is_known(home: Path) -> None:
    made = run("tier", ASSET, "--tier", "low", *SAID)
    assert (made["kind"], made["tier"], made["asset"]) == ("tier", "low", ASSET)
    assert made["keyid"] == open_signer(None, home=home).public_key.keyid


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown run": (("finding", "run-0", CHECK, *SAID), "no sealed run"),
    "a check that was not run": (("finding", SEALED.run, "a.check", *SAID), "It has:"),
    "a check that passed": (("finding", SEALED.run, "artifact.scan", *SAID), "nothing to approve"),
    "an unknown asset": (("tier", "Nobody/x@1", "--tier", "low", *SAID), f"Known: {ASSET}"),
    "an unknown tier": (("tier", ASSET, "--tier", "tiny", *SAID), "unknown"),
    "no reason": (
        ("tier", ASSET, "--tier", "low", "--reason", " ", "--expires", "9d"), "--reason is empty"),
    "no day": (
        ("tier", ASSET, "--tier", "low", "--reason", "x", "--expires", "soon"), "is no day"),
    "a day gone by": (
        ("tier", ASSET, "--tier", "low", "--reason", "x", "--expires", "2020-01-01"), "366 days"),
    "for ever": (
        ("tier", ASSET, "--tier", "low", "--reason", "x", "--expires", "3650d"), "366 days"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_explained_and_nothing_is_logged(home: Path, name: str) -> None:
    words, told = BAD[name]
    assert told in run(*words, code=2)["error"]["text"]
    assert run("list")["approvals"] == []
    assert home.is_dir()


def test_a_key_that_is_not_trusted_cannot_approve(home: Path) -> None:
    make_vendor_key(home / "mallory.pem")
    words = ("tier", ASSET, "--tier", "low", *SAID, "--signer", f"file:{home}/mallory.pem")
    told = run(*words, code=2)["error"]
    assert told["code"] == "signing.failed"
    assert "not trusted here" in told["text"]
    assert run("list")["approvals"] == []


NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_day_counts_to_its_end_and_days_from_now() -> None:
    assert last_moment("2026-05-01", NOW) == datetime(2026, 5, 1, 23, 59, 59, tzinfo=UTC)
    assert last_moment("1d", NOW) == NOW + timedelta(days=1)
    for text in ("0d", "-1d", "2026-04-30", "367d", "2027-13-01", "", "1.5d"):
        with pytest.raises(InvalidInputError):
            last_moment(text, NOW)
