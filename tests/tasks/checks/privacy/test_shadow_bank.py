"""A bank is the same whoever trains it, and grows without being trained again."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.checks.lab import Lab
from tasks.checks.parts import keep_part
from tasks.checks.privacy import dp_audit, membership_tail, shadow_bank
from tasks.checks.privacy.audit_set import drawn_audit
from tasks.domain.digest import Digest
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.checks.privacy.people import model, people

TAIL, COURT = "privacy.membership_tail", "privacy.dp_audit"
PARTS = {TAIL: membership_tail.measure_part, COURT: dp_audit.measure_part}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_bank, "BLOCK", 2)
    # Every part is worth another worker's while.
    monkeypatch.setattr("tasks.checks.lab.WORTH_A_CHILD", 0.0)


def bench(tmp_path: Path, check: str = TAIL, models: int = 6, **more: Any) -> Lab:
    training, evaluation = people(150)
    return lab(
        check,
        tmp_path,
        training=training,
        evaluation=evaluation,
        files=model(150, 20),
        classes=2,
        architecture="layers.yaml",
        parameters={"shadow_models": models, "items": 400},
        **more,
    )


def trained(made: Lab) -> shadow_bank.Bank:
    with made:
        return shadow_bank.shadow_bank(made, drawn_audit(made))


def shared_out(tmp_path: Path, check: str) -> tuple[Lab, list[int]]:
    """A lab whose parts are measured by other labs, with nothing in common but the store."""
    store, asked = MemoryStore(), []

    def others(indices: range) -> Generator[Digest, None, None]:
        for index in indices:
            asked.append(index)
            with bench(tmp_path, check, store=store) as helper:
                part = PARTS[check](helper, index)
            yield keep_part(part, store)

    made = bench(tmp_path, check, store=store)
    made._spread = others
    return made, asked


@pytest.mark.parametrize("check", PARTS)
def test_the_bank_is_the_same_whoever_trains_it(tmp_path: Path, check: str) -> None:
    alone = trained(bench(tmp_path, check))
    made, asked = shared_out(tmp_path, check)
    together = trained(made)
    assert asked == [1, 2]
    assert together.digest == alone.digest
    np.testing.assert_array_equal(together.confidence, alone.confidence)


def test_the_measurement_is_the_same_whoever_trains(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        alone = membership_tail.measure(made)
    made, _ = shared_out(tmp_path, TAIL)
    with made:
        together = membership_tail.measure(made)
    assert together.canonical() == alone.canonical()
    assert str(together.facts["shadow bank"]).startswith("sha256:")


def test_both_checks_that_need_a_bank_share_it(tmp_path: Path) -> None:
    store = MemoryStore()
    first = trained(bench(tmp_path, TAIL, store=store))
    kept = set(store.claims("shadow-banks/"))
    second = trained(bench(tmp_path, COURT, store=store))
    assert second.digest == first.digest
    assert set(store.claims("shadow-banks/")) == kept
    assert len(kept) == 3


def test_a_larger_bank_trains_only_what_it_has_more(tmp_path: Path) -> None:
    store = MemoryStore()
    small = trained(bench(tmp_path, store=store, models=4))
    kept = set(store.claims("shadow-banks/"))
    large = trained(bench(tmp_path, store=store, models=8))
    assert kept < set(store.claims("shadow-banks/"))
    assert len(list(store.claims("shadow-banks/"))) == 4
    np.testing.assert_array_equal(large.confidence[:4], small.confidence)
    assert large.digest == trained(bench(tmp_path, models=8)).digest


def test_every_model_of_a_bank_is_another_one(tmp_path: Path) -> None:
    bank = trained(bench(tmp_path))
    assert len({one.tobytes() for one in bank.confidence}) == 6
    halves = bank.members.sum(axis=1)
    assert set(halves) == {bank.members.shape[1] // 2}
