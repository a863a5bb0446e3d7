from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotApplicable, NotAvailable
from tasks.checks.privacy.dp_audit import measure
from tasks.domain.bundle import Claims
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.domain.recipe import PrivacyRecipe, TrainingRecipe
from tasks.judging.gates import judge
from tests.tasks.checks.benches import lab
from tests.tasks.checks.privacy.people import model, people

CHECK = "privacy.dp_audit"
GOOD: dict[str, Any] = {"noise_multiplier": 1.3, "sample_rate": 0.1, "steps": 20}
"""Gives an epsilon of 2.19 at delta 1e-5."""


def measured(
    tmp_path: Path,
    *,
    claimed: float | None = 2.2,
    privacy: dict[str, Any] | None = None,
    data: bool = False,
    steps: int = 1,
    **more: Any,
) -> Measurement:
    training, evaluation = people(300) if data else (None, None)
    bundle: dict[str, Any] = {
        "training": training,
        "evaluation": evaluation,
        "files": model(300, steps),
        "classes": 2,
        "shape": (120,),
        "architecture": "layers.yaml",
        "claims": Claims(dp_epsilon=claimed),
        "parameters": {"runs": 6000, "shadow_models": 4, "items": 600},
    }
    with lab(CHECK, tmp_path, **(bundle | more)) as bench:
        if privacy is not None:
            recipe = TrainingRecipe(epochs=2, batch_size=30, privacy=PrivacyRecipe(**privacy))
            spec = bench.subject.spec.model_copy(update={"training": recipe})
            bench.subject = bench.subject.model_copy(update={"spec": spec})
        return measure(bench)


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(CHECK), found).outcome


def rules(found: Measurement) -> set[str]:
    return {seen.rule for seen in found.observations}


def test_an_honest_claim_stands_and_its_power_is_told(tmp_path: Path) -> None:
    found = measured(tmp_path, privacy=GOOD)
    assert outcome(found) is Outcome.PASS
    assert all(control.held for control in found.controls)
    assert len(found.controls) == 2
    assert "could have been proven" in found.detail


FALSE = [
    ({}, 0.5, "privacy.dp.accounting"),
    ({"noise_multiplier": 0.5}, 0.5, "privacy.dp.refuted"),
    ({"noise_multiplier": 0.0}, 2.2, "privacy.dp.accounting"),
    ({"sampling": "shuffle"}, 2.2, "privacy.dp.accounting"),
    ({"clipping": "batch"}, 2.2, "privacy.dp.clipping"),
    ({"clipping": "none"}, 2.2, "privacy.dp.clipping"),
    ({"steps": 5}, 2.2, "privacy.dp.steps"),
]


@pytest.mark.parametrize(("changed", "claimed", "rule"), FALSE)
def test_a_false_claim_is_convicted_by_its_own_recipe(
    tmp_path: Path, changed: dict[str, Any], claimed: float, rule: str
) -> None:
    found = measured(tmp_path, privacy=GOOD | changed, claimed=claimed)
    assert rule in rules(found)
    assert outcome(found) is Outcome.FAIL


def test_batch_norm_is_convicted(tmp_path: Path) -> None:
    layers = [
        {"linear": {"in": 120, "out": 64}},
        {"batch_norm1d": {"features": 64}},
        {"linear": {"in": 64, "out": 2}},
    ]
    files = {**model(300, 1), "layers.yaml": yaml.safe_dump({"layers": layers}).encode()}
    found = measured(tmp_path, privacy=GOOD, files=files)
    assert "privacy.dp.batch_norm" in rules(found)


def test_answers_of_a_model_that_knows_its_data_by_heart_convict(tmp_path: Path) -> None:
    found = measured(tmp_path, claimed=0.1, data=True, steps=300)
    assert found.estimates["epsilon_lower_bound"].low > 0.1
    assert "privacy.dp.refuted_by_answers" in rules(found)
    assert outcome(found) is Outcome.FAIL


def test_a_rate_that_does_not_fit_the_data_is_told(tmp_path: Path) -> None:
    found = measured(tmp_path, privacy=GOOD | {"sample_rate": 0.01, "steps": 200}, data=True)
    assert "privacy.dp.sample_rate" in rules(found)


def test_a_claim_without_a_recipe_never_passes(tmp_path: Path) -> None:
    found = measured(tmp_path, claimed=8.0, data=True)
    assert outcome(found) is Outcome.UNDECIDED
    assert any("no training.privacy recipe" in alarm for alarm in found.alarms)
    with pytest.raises(NotAvailable, match="nothing can be recomputed"):
        measured(tmp_path, claimed=8.0)


@pytest.mark.parametrize("claimed", [1e-6, 1e9])
def test_absurd_claims_are_judged_like_others(tmp_path: Path, claimed: float) -> None:
    found = measured(tmp_path, claimed=claimed, privacy=GOOD)
    assert outcome(found) is (Outcome.FAIL if claimed < 1 else Outcome.PASS)


def test_without_a_claim_there_is_nothing_to_try(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="no differential privacy is claimed"):
        measured(tmp_path, claimed=None)


def test_shifted_sets_are_no_canaries(tmp_path: Path) -> None:
    training, evaluation = people(300)
    moved = (np.asarray(evaluation[0] * 3 + 1), evaluation[1])
    found = measured(tmp_path, training=training, evaluation=moved, privacy=GOOD, steps=300)
    assert found.estimates["epsilon_lower_bound"].value == 0
    assert "differ in kind" in found.detail
