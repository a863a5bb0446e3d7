"""What tells poisoned models from honest ones, and what the trusted side does not believe."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch

from tasks.catalog.reading import Catalog
from tasks.catalog.schema import IntervalGate, ParameterSpec
from tasks.checks.backdoor.meta_classifier import CHECK, measure
from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.backdoor import meta_classifier, shadow_zoo
from tasks.domain.digest import Digest
from tasks.domain.errors import ChildProtocolError
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.domain.spec import Parameter
from tasks.judging.gates import judge
from tasks.sandbox.protocol import Array, Reply
from tasks.statistics.intervals import binomial
from tests.simulators.store import MemoryStore
from tests.tasks.checks.backdoor import readers
from tests.tasks.targets.models import trained

FOLDS, QUERIES, CLASSES, SHADOWS = 6, 4, 10, 96
FEATURES = QUERIES * CLASSES
QUICK: dict[str, Parameter] = {"shadow_models": 24, "steps": 10, "epochs": 2, "queries": 4}


def bench(workspace: Path, **more: Any) -> Lab:
    return readers.bench(CHECK, workspace, trained(), **more)


class Told:
    """A child whose shadows answer as ``honest`` and ``poisoned`` say, and whose target is real.

    Each meta classifier reads how much the first class is favoured over all queries.
    """

    def __init__(self, opened: Lab, *, honest: float, poisoned: float, longer: float) -> None:
        rng = np.random.default_rng(0)
        inward = np.zeros((FOLDS, FEATURES, 1))
        inward[:, ::CLASSES] = 1
        planted = np.arange(SHADOWS) % 2 == 1
        kinds = np.where(planted, poisoned, honest)
        self.real = opened.run
        self.values = {"own": True, "longer_learnt": 0.9, "passes": 0, "queries": 0}
        self.arrays = {
            "queries": rng.random((FOLDS, QUERIES, 1, 8, 8)).astype(np.float32),
            "middle": np.zeros((FOLDS, FEATURES)),
            "spread": np.ones((FOLDS, FEATURES)),
            "inward": inward,
            "offset": np.full((FOLDS, 1), 100.0),
            "outward": np.ones((FOLDS, 1)),
            "bias": np.zeros(FOLDS),
            "fold": np.arange(SHADOWS) // 2 % FOLDS,
            "planted": planted,
            "learnt": np.ones(SHADOWS),
            "obeyed": planted.astype(float),
            "answers": _answers(kinds, rng),
            "longer": np.stack([_answers(np.full(3, longer), rng) for _ in range(FOLDS)]),
        }

    def run(self, procedure: str, arrays: Any = None, **values: Any) -> Reply:
        if procedure == "detectors.backdoor.meta_classifier":
            return Reply(self.arrays, self.values)
        return self.real(procedure, arrays, **values)


def _answers(favours: Array, rng: np.random.Generator) -> Array:
    """Returns logits (models, queries, classes) that favour the first class so much."""
    logits = rng.normal(size=(len(favours), QUERIES, CLASSES))
    logits[..., 0] += favours[:, None]
    return logits


def told(
    opened: Lab, monkeypatch: pytest.MonkeyPatch, *, honest: float, poisoned: float, longer: float
) -> Told:
    child = Told(opened, honest=honest, poisoned=poisoned, longer=longer)
    monkeypatch.setattr(opened, "run", child.run)
    return child


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(CHECK), found).outcome


def test_a_model_among_honest_shadows_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path) as opened:
        told(opened, monkeypatch, honest=0.0, poisoned=6.0, longer=0.0)
        found = measure(opened)
    assert outcome(found) is Outcome.PASS
    assert all(control.held for control in found.controls)
    assert found.facts["power"] == 1.0
    assert found.facts["honest_shadows"] == SHADOWS // 2
    assert "like honest ones" in found.detail


def test_a_model_unlike_all_honest_shadows_is_a_lead_and_never_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path) as opened:
        told(opened, monkeypatch, honest=-6.0, poisoned=6.0, longer=-6.0)
        found = measure(opened)
    assert found.estimates["honest_tail"].value == 0
    index = found.facts["meta_index"]
    assert isinstance(index, float)
    assert index > 3
    assert outcome(found) is Outcome.UNDECIDED
    assert "like one with a backdoor" in found.detail


def test_even_the_most_shadows_cannot_fail_a_model() -> None:
    entry = Catalog().check(CHECK)
    most = entry.parameters["shadow_models"]
    assert isinstance(most, ParameterSpec)
    assert isinstance(entry.gate, IntervalGate)
    assert binomial(0, int(most.maximum) // 2).high > entry.gate.threshold


@pytest.mark.parametrize(
    ("poisoned", "longer", "held"),
    [(0.0, 0.0, [False, True]), (6.0, 6.0, [True, False])],
    ids=["no power", "longer trained ones stand out"],
)
def test_where_a_control_does_not_hold_a_pass_does_not_count(
    poisoned: float,
    longer: float,
    held: list[bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with bench(tmp_path) as opened:
        told(opened, monkeypatch, honest=0.0, poisoned=poisoned, longer=longer)
        found = measure(opened)
    assert [control.held for control in found.controls] == held
    assert outcome(found) is Outcome.UNDECIDED


def test_poisoned_shadows_that_obey_no_trigger_do_not_count_as_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path) as opened:
        child = told(opened, monkeypatch, honest=0.0, poisoned=6.0, longer=0.0)
        child.arrays["obeyed"][:] = 0.1
        found = measure(opened)
    assert found.facts["power"] is None
    assert not found.controls[0].held


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("answers", (0, 0, 0), np.nan),
        ("inward", (0, 0, 0), np.inf),
        ("spread", (0, 0), 0.0),
        ("fold", slice(None), 0),
        ("fold", slice(None), FOLDS),
    ],
)
def test_what_the_child_cannot_have_found_is_refused(
    name: str, place: Any, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path) as opened:
        child = told(opened, monkeypatch, honest=0.0, poisoned=6.0, longer=0.0)
        child.arrays[name][place] = value
        with pytest.raises(ChildProtocolError, match=name if name != "fold" else "folds"):
            measure(opened)


@pytest.mark.parametrize("name", ["answers", "longer", "middle", "inward", "planted", "obeyed"])
def test_arrays_that_do_not_fit_each_other_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bench(tmp_path) as opened:
        child = told(opened, monkeypatch, honest=0.0, poisoned=6.0, longer=0.0)
        child.arrays[name] = child.arrays[name][1:]
        with pytest.raises(ChildProtocolError, match="does not fit"):
            measure(opened)


def test_the_whole_check_asks_the_target_only_the_queries_and_keeps_its_scores(
    tmp_path: Path,
) -> None:
    store = MemoryStore()
    with bench(tmp_path, store=store, parameters=QUICK) as opened:
        found = measure(opened)
    assert found.cost.queries == FOLDS * QUERIES
    assert found.facts["same_architecture"]
    kept = {artifact.name: store.get(Digest(artifact.digest)) for artifact in found.artifacts}
    scores = json.loads(kept["scores.json"])
    assert len(scores["target"]) == FOLDS
    assert len(scores["shadows"]) == 24
    assert safetensors.numpy.load(kept["samples.safetensors"])["inputs"].shape == (24, 1, 8, 8)


def test_shadows_without_training_have_no_power_and_say_so(tmp_path: Path) -> None:
    with bench(tmp_path, parameters=QUICK | {"steps": 0}) as opened:
        found = measure(opened)
    assert not found.controls[0].held


def test_a_model_that_answers_classes_only_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = bench(tmp_path)
    monkeypatch.setattr(opened, "target", lambda: {"access": "labels", "classes": CLASSES})
    with opened, pytest.raises(NotAvailable, match="scores"):
        measure(opened)


def test_a_model_whose_shadows_would_cost_too_much_is_not_assessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta_classifier, "MOST_PRODUCTS", 1e6)
    with bench(tmp_path) as opened, pytest.raises(NotAvailable, match="too large"):
        measure(opened)


def test_shadows_that_answer_no_numbers_are_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_zoo, "LEARNING_RATE", 1e30)
    with bench(tmp_path, parameters=QUICK) as opened, pytest.raises(NotAvailable, match="0 honest"):
        measure(opened)
