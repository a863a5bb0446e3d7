import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from sklearn.datasets import load_digits

from tasks.attacks.inference.deciding import decide, low_tail, split
from tasks.attacks.inference.signals import calibrated, halves
from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotAvailable
from tasks.checks.privacy.audit_set import Audit
from tasks.checks.privacy.membership import Shadows, _over_models, measure
from tasks.domain.bundle import Claims
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import Rows, lab

CHECK = "privacy.membership"
LAYERS = ["flatten", {"linear": {"in": 64, "out": 128}}, "relu", {"linear": {"in": 128, "out": 10}}]
SMALL = {"items": 400, "shadow_models": 4}


@functools.cache
def digits(*, noisy: bool) -> tuple[Rows, Rows]:
    """800 digits to train on, 900 to evaluate; a third of the labels is wrong when noisy."""
    table = load_digits()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(table.target))
    inputs = (table.images[order, None] / 16).astype(np.float32)
    labels = table.target[order].astype(np.int64)
    if noisy:
        wrong = rng.uniform(size=len(labels)) < 1 / 3
        labels[wrong] = rng.integers(0, 10, int(wrong.sum()))
    return (inputs[:800], labels[:800]), (inputs[800:1700], labels[800:1700])


@functools.cache
def model(*, noisy: bool, steps: int) -> dict[str, bytes]:
    """A perceptron trained on the training digits, as the files of a bundle."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )
    (inputs, labels), _ = digits(noisy=noisy)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return {
        "model.safetensors": safetensors.torch.save(network.state_dict()),
        "layers.yaml": yaml.safe_dump({"layers": LAYERS}).encode(),
    }


def measured(tmp_path: Path, *, noisy: bool = False, steps: int = 60, **more: Any) -> Measurement:
    training, evaluation = digits(noisy=noisy)
    bundle: dict[str, Any] = {
        "training": training,
        "evaluation": evaluation,
        "files": model(noisy=noisy, steps=steps),
        "classes": 10,
        "architecture": "layers.yaml",
        "parameters": SMALL,
    }
    with lab(CHECK, tmp_path, **(bundle | more)) as bench:
        return measure(bench)


def outcome(found: Measurement) -> Outcome:
    return judge(Catalog().check(CHECK), found).outcome


def test_a_model_that_generalises_hides_its_members(tmp_path: Path) -> None:
    found = measured(tmp_path)
    assert found.estimates["accuracy"].high < 0.6
    assert outcome(found) is Outcome.PASS
    assert [control.held for control in found.controls] == [True, True, True]
    assert found.controls[0].estimate is not None
    assert found.controls[0].estimate.value > 0.8
    assert found.cost.queries == 800


def test_a_model_that_learnt_noise_by_heart_betrays_them(tmp_path: Path) -> None:
    store = MemoryStore()
    found = measured(tmp_path, noisy=True, steps=400, store=store)
    assert found.estimates["accuracy"].low > 0.6
    assert found.estimates["auc"].value > 0.65
    assert outcome(found) is Outcome.FAIL
    curve = json.loads(store.get(found.artifacts[0].digest))
    assert set(curve["curves"]) == {"correctness", "loss", "modified entropy", "calibrated"}
    assert curve["curves"]["loss"]["true_positive"][-1] == 1


def test_equal_specs_give_equal_bytes_and_other_seeds_do_not(tmp_path: Path) -> None:
    first, again, other = (measured(tmp_path, seed=seed).canonical() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_rows_in_both_sets_are_left_out_and_told(tmp_path: Path) -> None:
    training, evaluation = digits(noisy=False)
    mixed = (
        np.concatenate([evaluation[0], training[0][:300]]),
        np.concatenate([evaluation[1], training[1][:300]]),
    )
    found = measured(tmp_path, evaluation=mixed)
    assert [seen.rule for seen in found.observations] == ["privacy.overlap"]
    assert found.estimates["overlap"].value == 0.25


def test_training_data_handed_in_as_evaluation_data_proves_nothing(tmp_path: Path) -> None:
    training, _ = digits(noisy=False)
    with pytest.raises(NotAvailable, match=r"100\.0% of the evaluation rows lie in the training"):
        measured(tmp_path, evaluation=training)


def test_without_training_data_the_question_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no training data"):
        measured(tmp_path, training=None)


def test_a_refuted_privacy_claim_is_an_alarm(tmp_path: Path) -> None:
    found = measured(tmp_path, noisy=True, steps=400, claims=Claims(dp_epsilon=0.01))
    assert any("claimed privacy epsilon is 0.01" in alarm for alarm in found.alarms)


def test_sets_that_differ_in_kind_accuse_nobody(tmp_path: Path) -> None:
    _, evaluation = digits(noisy=True)
    darker = (evaluation[0] * np.float32(0.3), evaluation[1])
    found = measured(tmp_path, noisy=True, steps=400, evaluation=darker)
    assert [control.held for control in found.controls] == [True, True, False]
    assert found.controls[2].estimate is not None
    assert found.controls[2].estimate.low > 0.8
    assert outcome(found) is Outcome.UNDECIDED


def test_few_shadow_models_widen_the_interval() -> None:
    rng = np.random.default_rng(4)
    items, classes = 400, 3
    labels = rng.integers(0, classes, items)
    members = np.arange(items) < items // 2
    audit = Audit(np.zeros((items, 1)), labels, members, Estimate.exact(0.0, n=1))
    difficulty = rng.normal(size=(items, 1)) * np.eye(classes)[labels]
    drawn = halves(4, items, seed=1)
    told = 3 * difficulty + 2 * drawn[..., None] * np.eye(classes)[labels]
    shadows = Shadows(drawn, (told + rng.normal(size=(4, items, classes))).astype(np.float32))
    scores = (3 * difficulty + 2 * members[:, None] * np.eye(classes)[labels]).astype(np.float32)
    learning = split(members, seed=0)
    signal = calibrated(scores, labels, shadows.scores, shadows.members)
    before = decide({"calibrated": signal}, labels, members, learning).results["calibrated"]
    tail = low_tail(signal, members, learning, rate=0.01)
    after, wider = _over_models(audit, scores, shadows, learning, (before, tail))
    for one, other in (
        (before.accuracy, after.accuracy),
        (before.area, after.area),
        (tail.true_positive, wider.true_positive),
    ):
        assert other.value == one.value
        assert other.high - other.low > one.high - one.low
