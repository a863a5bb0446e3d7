"""Live-fire drills from the first shot to the signed result, with real gateway and real actions."""

from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.live_drills import LiveDrillEntry
from tasks.catalog.reading import Catalog
from tasks.domain.errors import CatalogError, SigningError
from tasks.domain.live_drill import LiveResult
from tasks.drilling import LiveFire, live_fire
from tasks.ledger.keys import make_key, trusted_keys
from tasks.response.acting import Acted
from tasks.response.rehearsals import items, last_live, live_results
from tasks.settings import read_settings
from tasks.store.opening import open_store
from tests.simulators.sandbox import DirectSandbox

UNHURRIED = 60.0
"""Seconds of containment that a busy machine is given; the entries' own bars are stricter."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    monkeypatch.setenv("PROOFHOUSE_HOME", str(place))
    for name in ("PROOFHOUSE_PROFILE", "PROOFHOUSE_STORE", "PROOFHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    place.mkdir()
    make_key(place)
    return place


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ground that takes less time, where neither model nor monitors are what is tested."""
    monkeypatch.setattr("tasks.response.live.ground.EPOCHS", 6)
    # Steps along a boundary are seen by monitors of any calibration.
    monkeypatch.setattr("tasks.response.live.ground.IMITATED", 160)


def unhurried(name: str, **limits: Any) -> LiveDrillEntry:
    """The entry, with limits on time and on what leaks in it that no other work can break."""
    entry = Catalog().live_drill(name)
    more = {"contain_seconds": UNHURRIED, **limits}
    return entry.model_copy(update={"limits": entry.limits.model_copy(update=more)})


def fired(entry: LiveDrillEntry, **changed: Any) -> LiveFire:
    return live_fire(entry, sandbox=DirectSandbox(), **changed)


def missed(result: LiveResult) -> dict[str, str]:
    return {one.name: one.said for one in result.objectives if not one.held}


@pytest.mark.slow
def test_three_accounts_copy_the_model_and_are_contained(home: Path) -> None:
    told: list[str] = []
    held = fired(unhurried("extraction_by_three_accounts", leaked_queries=2000), say=told.append)
    result = held.result
    assert missed(result) == {}
    assert result.passed
    assert result.fidelity is not None
    assert result.fidelity.high < 0.8
    assert result.leaked_queries is not None
    assert result.leaked_queries > 0
    assert result.benign_requests > 0
    assert result.benign_refused <= 0.01 * result.benign_requests
    assert any("attack" in line for line in told)
    store, trust = open_store(read_settings().store_url, home=home), trusted_keys(home)
    assert live_results(store, trust, result.drill) == [result]
    assert store.has(held.statement)
    assert {"telemetry", "alarms.jsonl", "actions.jsonl", *result.cases} == set(result.evidence)
    assert all(store.has(digest) for digest in result.evidence.values())
    # Nothing of the drill is the user's: no key, no account, no case, no model.
    assert not (home / "gateway").exists()
    assert not list(store.claims("cases/"))
    assert not list(store.claims("promotions/"))


@pytest.mark.usefixtures("hasty")
def test_tampered_evidence_is_refused_and_restored_and_compared_with_the_last_time(
    home: Path,
) -> None:
    entry = unhurried("tampered_evidence")
    first, second = fired(entry), fired(entry, team="night shift")
    assert missed(first.result) == missed(second.result) == {}
    assert first.before is None
    assert second.before == first.result
    assert second.result.leaked_queries is None
    store = open_store(read_settings().store_url, home=home)
    assert last_live(store, trusted_keys(home), entry.id) == second.result


@pytest.mark.usefixtures("hasty")
def test_a_deed_that_restores_nothing_is_a_containment_that_failed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tasks.response.live.deeds.restore_evidence.do", lambda *_: "everything is fine"
    )
    result = fired(unhurried("tampered_evidence")).result
    assert "proof: evidence restored" in missed(result)
    assert (result.contained, result.passed, result.score) == (False, False, 0)
    store = open_store(read_settings().store_url, home=home)
    kept = {one.improvement.decision: one.improvement for one in items(store)}
    assert kept["proof: evidence restored"].severity == "high"


@pytest.mark.usefixtures("hasty")
def test_actions_that_only_say_so_do_not_contain(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    for action in ("throttle", "revoke"):
        monkeypatch.setattr(
            f"tasks.response.actions.gateway.{action}.act", lambda *_: Acted("done, believe me")
        )
    entry = unhurried("evasion_campaign")
    short = entry.attack.model_copy(update={"budget": 240})
    result = fired(entry.model_copy(update={"attack": short})).result
    assert {"proof: accounts refused", "proof: keys unauthorized"} <= set(missed(result))
    assert (result.contained, result.score) == (False, 0)


def test_without_a_key_nothing_is_begun(home: Path) -> None:
    (home / "keys" / "signing.pem").unlink()
    with pytest.raises(SigningError):
        fired(unhurried("tampered_evidence"))


def test_no_such_drill_is_told(home: Path) -> None:
    del home
    with pytest.raises(CatalogError, match="live_drills has no entry called 'nothing'"):
        live_fire("nothing")
