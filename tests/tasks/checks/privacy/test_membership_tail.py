import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotAvailable
from tasks.checks.privacy.membership_tail import measure
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.domain.recipe import PrivacyRecipe, TrainingRecipe
from tasks.judging.gates import judge
from tasks.response.private_retraining import recipe_of
from tasks.targets.private_training import private_training
from tests.simulators.sandbox import DirectSession
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.checks.privacy.people import model, people

CHECK = "privacy.membership_tail"
SMALL = {"items": 1000, "shadow_models": 8, "label_queries": 2}


KEPT = MemoryStore()
"""The shadow models of all tests that do not ask how many are trained."""


def measured(tmp_path: Path, *, steps: int, rows: int = 1000, **more: Any) -> Measurement:
    training, evaluation = people(rows)
    bundle: dict[str, Any] = {
        "training": training,
        "evaluation": evaluation,
        "files": model(rows, steps),
        "classes": 2,
        "architecture": "layers.yaml",
        "parameters": SMALL,
        "store": KEPT,
    }
    with lab(CHECK, tmp_path, **(bundle | more)) as bench:
        return measure(bench)


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(CHECK), found).outcome


def test_a_model_that_knows_its_people_by_heart_fails(tmp_path: Path) -> None:
    store = MemoryStore()
    found = measured(tmp_path, steps=300, store=store)
    assert found.estimates["tpr_at_1_percent_fpr"].low > 0.05
    assert outcome(found) is Outcome.FAIL
    assert all(control.held for control in found.controls)
    curves = json.loads(store.get(found.artifacts[0].digest))
    assert {"BaVarIA", "LiRA online", "LiRA offline", "RMIA", "label noise", "loss"} <= set(
        curves["curves"]
    )


def test_a_model_that_learnt_little_passes(tmp_path: Path) -> None:
    found = measured(tmp_path, steps=1)
    assert found.estimates["tpr_at_1_percent_fpr"].high < 0.05
    assert outcome(found) is Outcome.PASS


def test_a_useful_twin_trained_with_noise_passes(tmp_path: Path) -> None:
    training, evaluation = people(1000)
    layers = tmp_path / "layers.yaml"
    layers.write_bytes(model(1000, 1)["layers.yaml"])
    recipe = recipe_of(None, 4.0, 1000).model_dump(mode="json", exclude={"privacy"})
    twin = private_training(
        inputs=training[0],
        labels=training[1],
        test_inputs=evaluation[0],
        test_labels=evaluation[1],
        architecture=str(layers),
        classes=2,
        epsilon=4.0,
        delta=1e-5,
        recipe=recipe,
        max_gradient_norm=1.0,
        seed=7,
    )
    files = model(1000, 1) | {"model.safetensors": safetensors.numpy.save(twin.arrays)}
    found = measured(tmp_path, steps=1, files=files)
    assert outcome(found) is Outcome.PASS
    # Useful: the model that knows its people by heart, and fails, reads 0.69 of strangers right.
    assert twin.values["right"] / twin.values["tests"] > 0.69


def test_an_ordinary_model_is_told_with_its_interval(tmp_path: Path) -> None:
    found = measured(tmp_path, steps=8)
    tail = found.estimates["tpr_at_1_percent_fpr"]
    assert tail.low < 0.05
    assert tail.low < tail.value < tail.high
    assert outcome(found) in {Outcome.PASS, Outcome.UNDECIDED}


def test_items_that_training_moved_are_looked_at_several_times(tmp_path: Path) -> None:
    sides: list[Any] = [(rows[0].reshape(-1, 1, 12, 10), rows[1]) for rows in people(150)]
    layers = b"layers: [flatten, {linear: {in: 120, out: 64}}, relu, {linear: {in: 64, out: 2}}]"
    found = []
    for kind in ("none", "shift"):
        bench = lab(
            CHECK,
            tmp_path,
            training=sides[0],
            evaluation=sides[1],
            files={**model(150, 9), "layers.yaml": layers},
            classes=2,
            architecture="layers.yaml",
            parameters=SMALL | {"looks": 4},
        )
        told = TrainingRecipe.model_validate({"epochs": 3, "augmentation": kind})
        spec = bench.subject.spec.model_copy(update={"training": told})
        bench.subject = bench.subject.model_copy(update={"spec": spec})
        with bench:
            found.append(measure(bench))
    plain, moved = found
    items = plain.facts["members"] + plain.facts["others"]  # type: ignore[operator]
    assert moved.cost.queries - plain.cost.queries == 3 * items
    assert (plain.facts["looks at each item"], moved.facts["looks at each item"]) == (1, 4)
    assert moved.facts["shadow bank"] != plain.facts["shadow bank"]


def test_every_attack_has_an_interval(tmp_path: Path) -> None:
    facts = measured(tmp_path, steps=30, rows=150).facts
    named = {name.removeprefix("tpr at 1 % of ") for name in facts if name.startswith("tpr at")}
    plain = {name for name in named if not name.endswith(", interval")}
    assert {f"{name}, interval" for name in plain} == named - plain
    assert {"BaVarIA", "LiRA offline", "RMIA", "quantile regression", "loss"} <= plain


def test_too_few_people_are_never_a_verdict(tmp_path: Path) -> None:
    found = measured(tmp_path, steps=300, rows=150)
    assert outcome(found) is Outcome.UNDECIDED
    assert any("cannot speak about 1 %" in alarm for alarm in found.alarms)


def test_a_second_version_of_the_asset_trains_no_shadow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    trained: list[int] = []
    call = DirectSession.call

    def counted(self: DirectSession, procedure: str, *given: Any, **values: Any) -> Any:
        if procedure == "attacks.inference.shadow_stack":
            trained.append(len(given[0]["members"]))
        return call(self, procedure, *given, **values)

    monkeypatch.setattr(DirectSession, "call", counted)
    fresh = measured(tmp_path, steps=30, rows=150, store=store)
    assert trained == [8, 8]  # the bank, and the control's own models
    kept = measured(tmp_path, steps=30, rows=150, store=store)
    assert kept.canonical() == fresh.canonical()
    measured(tmp_path, steps=31, rows=150, store=store)
    assert trained == [8, 8, 8, 8]


def test_another_recipe_is_another_bank(tmp_path: Path) -> None:
    store = MemoryStore()
    bench = lab(
        CHECK,
        tmp_path,
        training=people(150)[0],
        evaluation=people(150)[1],
        files=model(150, 9),
        classes=2,
        architecture="layers.yaml",
        parameters=SMALL,
        store=store,
    )
    with bench:
        first = measure(bench)
    told = TrainingRecipe(epochs=3, learning_rate=0.01)
    spec = bench.subject.spec.model_copy(update={"training": told})
    bench.subject = bench.subject.model_copy(update={"spec": spec})
    with bench:
        bench._session = bench._target = None
        second = measure(bench)
    assert "stand-in recipe" in first.method
    assert "the bundle's recipe (optimizer adam, learning_rate 0.01" in second.method
    assert len(list(store.claims("shadow-banks/"))) == 2


def with_recipe(tmp_path: Path, told: TrainingRecipe) -> Measurement:
    training, evaluation = people(150)
    bench = lab(
        CHECK,
        tmp_path,
        training=training,
        evaluation=evaluation,
        files=model(150, 9),
        classes=2,
        architecture="layers.yaml",
        parameters=SMALL,
    )
    spec = bench.subject.spec.model_copy(update={"training": told})
    bench.subject = bench.subject.model_copy(update={"spec": spec})
    with bench:
        return measure(bench)


def test_shadow_models_that_diverge_are_an_alarm_and_no_crash(tmp_path: Path) -> None:
    wild = TrainingRecipe(optimizer="sgd", learning_rate=100.0, epochs=20)
    assert any(
        "8 of 8 shadow models diverged" in alarm for alarm in with_recipe(tmp_path, wild).alarms
    )


def test_a_recipe_made_for_noise_trains_no_shadow_model(tmp_path: Path) -> None:
    noisy = PrivacyRecipe(noise_multiplier=6.0, sample_rate=1.0, steps=30)
    found = with_recipe(tmp_path, TrainingRecipe(learning_rate=0.5, epochs=3, privacy=noisy))
    assert "a stand-in recipe" in found.method


def test_duplicated_people_count_once(tmp_path: Path) -> None:
    training, _ = people(150)
    doubled = tuple(np.concatenate([part, part]) for part in training)
    found = measured(tmp_path, steps=30, rows=150, training=doubled)
    once = measured(tmp_path, steps=30, rows=150)
    assert found.facts["members"] == once.facts["members"]


def test_people_in_both_sets_are_left_out(tmp_path: Path) -> None:
    training, _ = people(150)
    with pytest.raises(NotAvailable, match=r"100\.0% of the evaluation rows"):
        measured(tmp_path, steps=30, rows=150, evaluation=training)


def test_a_shift_between_the_sets_accuses_nobody(tmp_path: Path) -> None:
    _, evaluation = people(1000)
    moved = (evaluation[0] * 3 + 1, evaluation[1])
    found = measured(tmp_path, steps=300, evaluation=moved)
    assert found.estimates["blind_tpr_at_1_percent_fpr"].low > 0.5
    assert outcome(found) is Outcome.UNDECIDED
