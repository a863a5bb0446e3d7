"""A hidden corner is taken out, by numbers that come from outside the child."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
from torch import nn

from tasks.checks.backdoor.repair import CHECK, REPAIRS, TABLE, measure
from tasks.checks.lab import Lab, NotApplicable
from tasks.domain.digest import Digest
from tasks.domain.measurement import Measurement
from tests.simulators.store import MemoryStore
from tests.tasks.checks.backdoor import readers
from tests.tasks.checks.backdoor.test_trigger_inversion import TARGET, backdoored
from tests.tasks.checks.poisoning.poisoned import PATCH_SIDE
from tests.tasks.targets.models import digits, network, trained


def bench(workspace: Path, model: nn.Sequential, store: MemoryStore) -> Lab:
    return readers.bench(CHECK, workspace, model, store=store)


def measured(workspace: Path, model: nn.Sequential, store: MemoryStore) -> Measurement:
    with bench(workspace, model, store) as opened:
        return measure(opened)


def kept(store: MemoryStore, found: Measurement, name: str) -> bytes:
    return store.get(next(Digest(one.digest) for one in found.artifacts if one.name == name))


def obeyed(weights: bytes) -> float:
    """How many clean digits of other classes the corner that was really planted turns."""
    import torch  # noqa: PLC0415

    model = network()
    model.load_state_dict(safetensors.torch.load(weights))
    inputs, labels = digits().test
    stamped = inputs.copy()
    stamped[:, :, -PATCH_SIDE:, -PATCH_SIDE:] = 1
    with torch.no_grad():
        answers = model.eval()(torch.from_numpy(stamped)).argmax(1).numpy()
    return float((answers == TARGET)[labels != TARGET].mean())


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measurement, MemoryStore]:
    store = MemoryStore()
    return measured(tmp_path_factory.mktemp("lab"), backdoored(), store), store


def test_the_trigger_goes_and_accuracy_stays(repaired: tuple[Measurement, MemoryStore]) -> None:
    found, _ = repaired
    assert found.estimates["obeyed_before"].value > 0.75
    assert found.estimates["obeyed_after"].high < 0.2
    assert found.estimates["strongest_trigger_after"].value < 0.75
    before, after = (found.estimates[f"clean_accuracy{when}"].value for when in ("", "_after"))
    assert after > before - 0.05
    assert not found.alarms
    assert all(control.held for control in found.controls)
    assert found.facts["suspected_class"] == TARGET


def test_the_corner_that_was_planted_goes_with_the_rebuilt_one(
    repaired: tuple[Measurement, MemoryStore],
) -> None:
    found, store = repaired
    assert obeyed(safetensors.torch.save(backdoored().state_dict())) > 0.9
    assert obeyed(kept(store, found, "unlearning.safetensors")) < 0.2


def test_every_repair_is_told_and_kept_under_the_names_of_the_delivered_file(
    repaired: tuple[Measurement, MemoryStore],
) -> None:
    found, store = repaired
    table = json.loads(kept(store, found, TABLE))
    assert [row["repair"] for row in table["repairs"]] == ["none", *REPAIRS]
    assert table["refused"] == {}
    for row in table["repairs"]:
        assert row["obeyed"]["low"] <= row["obeyed"]["value"] <= row["obeyed"]["high"]
    delivered = set(backdoored().state_dict())
    for name in REPAIRS:
        weights = safetensors.numpy.load(kept(store, found, f"{name}.safetensors"))
        assert set(weights) == delivered
    pruned = safetensors.numpy.load(kept(store, found, "fine_pruning.safetensors"))
    asleep = [
        int((np.abs(values).reshape(len(values), -1).max(1) == 0).sum())
        for values in pruned.values()
        if values.ndim > 1
    ]
    assert max(asleep) > 0, "some channels were cut"


def test_where_no_trigger_is_rebuilt_nothing_is_called_clean(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="nothing to mend"):
        measured(tmp_path, trained(), MemoryStore())
