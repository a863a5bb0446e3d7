"""Proofs find out by trying: each fails where the containment is only said to have happened."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.registry.registering import Why, promote, register, withdraw
from tasks.registry.serving import accepted_model
from tasks.response.live.attacks.tampered_evidence import TAMPERED
from tasks.response.live.battle import Battle
from tasks.response.live.deeds.reissue_keys import OWNERS
from tasks.response.live.proofs import (
    accounts_refused,
    evidence_refused,
    keys_unauthorized,
    model_barred,
    owners_served,
    rows_quarantined,
)
from tasks.response.live.watches.evidence_altered import PROBLEMS
from tests.simulators.store import MemoryStore
from tests.tasks.registry.homes import MODEL, new_home
from tests.tasks.response.live.fields import FakeLine, battle, sighting

WHY = Why("a test", by="tester")
ROWS = SimpleNamespace(images=np.zeros((6, 3), np.float32), labels=np.zeros(6, np.int64))
GROUND = SimpleNamespace(people=SimpleNamespace(thieves=ROWS, clients=ROWS), store=MemoryStore())


def fight(*lines: FakeLine, **changed: Any) -> Battle:
    return battle(ground=GROUND, lines=list(lines), **changed)


@pytest.mark.parametrize(
    ("script", "held"),
    [(["key"], True), (["rate"], True), (["key", "key", "key", "key", True], False)],
)
def test_one_answer_to_one_account_is_no_containment(script: list[bool | str], held: bool) -> None:
    made = fight(FakeLine("a", ["key"]), FakeLine("b", script))
    assert accounts_refused.prove(made).held is held


def test_nobody_to_try_proves_nothing() -> None:
    assert not accounts_refused.prove(fight()).held
    assert not keys_unauthorized.prove(fight()).held
    assert not owners_served.prove(fight()).held
    assert not model_barred.prove(fight()).held
    assert not evidence_refused.prove(fight()).held


@pytest.mark.parametrize(("script", "held"), [(["key"], True), (["rate"], False), ([True], False)])
def test_a_key_that_is_only_slowed_down_still_counts(script: list[bool | str], held: bool) -> None:
    assert keys_unauthorized.prove(fight(FakeLine("a", script))).held is held


@pytest.mark.parametrize(("script", "held"), [([True], True), ([True, "key"], False)])
def test_an_owner_is_served_or_not(script: list[bool | str], held: bool) -> None:
    made = fight(left={OWNERS: [FakeLine("a", script)]})
    assert owners_served.prove(made).held is held


def test_an_altered_object_that_nobody_named_was_not_refused() -> None:
    altered = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)
    told = [f"{digest} is not what it was" for digest in altered]
    assert evidence_refused.prove(fight(left={TAMPERED: altered, PROBLEMS: told})).held
    assert not evidence_refused.prove(fight(left={TAMPERED: altered, PROBLEMS: told[:1]})).held


def test_rows_that_nobody_signed_for_are_not_in_quarantine() -> None:
    assert not rows_quarantined.prove(fight(sightings=[])).held
    assert not rows_quarantined.prove(fight(sightings=[sighting(1)])).held


def test_a_model_is_barred_when_it_is_neither_loaded_nor_promoted_nor_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_home(tmp_path)
    for version, alias in (("1", "champion"), ("2", "canary")):
        register(home.seal(version).run, home.registry, WHY)
        promote(f"{MODEL}@{version}", alias, home.registry, WHY)  # type: ignore[arg-type]
    ground = SimpleNamespace(people=GROUND.people, place=home.registry)
    canary = accepted_model(f"{MODEL}@2", home.registry)
    monkeypatch.setattr(Battle, "new_lines", lambda *_: [FakeLine("new", ["key"])])
    made = battle(ground=ground, canary=canary)
    open_ = model_barred.prove(made)
    assert not open_.held
    assert "still loaded; it was promoted" in open_.said
    withdraw(f"{MODEL}@2", home.registry, WHY)
    barred = model_barred.prove(made)
    assert barred.held, barred.said


def test_a_model_that_callers_still_meet_is_not_barred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = new_home(tmp_path)
    register(home.seal("2").run, home.registry, WHY)
    canary = accepted_model(f"{MODEL}@2", home.registry)
    withdraw(f"{MODEL}@2", home.registry, WHY)
    meets = SimpleNamespace(ask=lambda _: SimpleNamespace(version=canary.run))
    monkeypatch.setattr(Battle, "new_lines", lambda *_: [meets])
    ground = SimpleNamespace(people=GROUND.people, place=home.registry)
    assert not model_barred.prove(battle(ground=ground, canary=canary)).held
