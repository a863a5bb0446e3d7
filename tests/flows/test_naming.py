"""Runs show in the Prefect UI under what they are about, not under what somebody typed."""

from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import pytest

from flows import assessment, dataset_review, hardening, onboarding, repairing, retraining
from tasks.onboarding import Planned
from tests.simulators.store import MemoryStore
from tests.tasks.ledger.evidence import make_case

TYPED = "a/path/as-it-was-typed"
FLOWS: dict[str, tuple[ModuleType, Callable[[], Any]]] = {
    "onboard": (onboarding, lambda: onboarding.onboard_model.fn(TYPED)),
    "assess": (assessment, lambda: assessment.assess_asset.fn(TYPED, "privacy")),
    "harden": (hardening, lambda: hardening.harden_model.fn(TYPED)),
    "repair": (repairing, lambda: repairing.repair_model.fn(TYPED)),
    "retrain": (retraining, lambda: retraining.retrain_model.fn(TYPED)),
    "review": (dataset_review, lambda: dataset_review.review_dataset.fn(TYPED)),
}
AROUND = ("take_in", "take_in_dataset", "subject_of", "filled", "compared", "announce",
          "enter_registry", "services", "with_table", "start_workers",
          "retrain_privately")  # fmt: skip


@pytest.mark.parametrize("verb", FLOWS)
def test_a_run_is_named_by_asset_and_version(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, run = FLOWS[verb]
    plan, named = make_case(MemoryStore(), 1).record.plan, list[str]()
    for step in AROUND:
        monkeypatch.setattr(module, step, Mock(), raising=False)
    sealed = Planned(plan, sealed=True)
    monkeypatch.setattr(module, "plan_onboarding", lambda *_, **__: sealed, raising=False)
    monkeypatch.setattr(module, "asset_of", lambda _: plan.asset, raising=False)
    monkeypatch.setattr(module, "name_run", named.append)
    run()
    assert named == [f"{verb} {plan.asset}"]
