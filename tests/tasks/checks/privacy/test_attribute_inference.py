import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from tasks.catalog.reading import Catalog
from tasks.checks.lab import NotApplicable, NotAvailable
from tasks.checks.privacy.attribute_inference import measure
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement
from tasks.judging.gates import judge
from tests.tasks.checks.benches import Rows, lab

CHECK = "privacy.attribute_inference"
WIDTH = 14


@functools.cache
def people() -> tuple[Rows, Rows]:
    """Binary attributes that nothing predicts, and labels by lot: only memory can tell them."""
    rng = np.random.default_rng(2)
    inputs = rng.integers(0, 2, (1600, WIDTH)).astype(np.float32)
    labels = rng.integers(0, 4, 1600)
    return (inputs[:800], labels[:800]), (inputs[800:], labels[800:])


@functools.cache
def model(steps: int) -> dict[str, bytes]:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, 256), torch.nn.ReLU(), torch.nn.Linear(256, 4)
    )
    x, y = (torch.from_numpy(part) for part in people()[0])
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    layers = [{"linear": {"in": WIDTH, "out": 256}}, "relu", {"linear": {"in": 256, "out": 4}}]
    return {
        "model.safetensors": safetensors.torch.save(network.state_dict()),
        "layers.yaml": yaml.safe_dump({"layers": layers}).encode(),
    }


def measured(tmp_path: Path, steps: int = 200, **more: Any) -> Measurement:
    training, evaluation = people()
    bundle: dict[str, Any] = {
        "training": training,
        "evaluation": evaluation,
        "files": model(steps),
        "classes": 4,
        "architecture": "layers.yaml",
    }
    with lab(CHECK, tmp_path, **(bundle | more)) as bench:
        return measure(bench)


@pytest.mark.parametrize(
    ("steps", "outcome"), [(200, Outcome.FAIL), (1, Outcome.PASS)], ids=["by heart", "hardly"]
)
def test_only_memory_is_an_advantage(tmp_path: Path, steps: int, outcome: Outcome) -> None:
    found = measured(tmp_path, steps)
    assert judge(Catalog().check(CHECK), found).outcome is outcome
    assert [control.held for control in found.controls] == [True, True]


def test_what_holds_for_strangers_too_is_statistics(tmp_path: Path) -> None:
    sides = []
    for inputs, _ in people():
        copied = inputs.copy()
        copied[:, 1] = copied[:, 0]  # whoever knows one column knows the other
        sides.append((copied, copied[:, 0].astype(np.int64)))
    found = measured(tmp_path, training=sides[0], evaluation=sides[1])
    assert found.estimates["advantage"].low < 0.05


def test_pictures_and_plain_amounts_have_no_attributes(tmp_path: Path) -> None:
    pictures = tuple((part[0].reshape(-1, 1, 2, 7), part[1]) for part in people())
    with pytest.raises(NotApplicable, match="no attributes"):
        measured(tmp_path, training=pictures[0], evaluation=pictures[1])
    rng = np.random.default_rng(0)
    amounts = [
        (rng.normal(size=(200, WIDTH)).astype(np.float32), part[1][:200]) for part in people()
    ]
    with pytest.raises(NotApplicable, match="no column"):
        measured(tmp_path, training=amounts[0], evaluation=amounts[1])


def test_too_few_strangers_are_said(tmp_path: Path) -> None:
    few = tuple((inputs[:50], labels[:50]) for inputs, labels in people())
    with pytest.raises(NotAvailable, match="are needed"):
        measured(tmp_path, training=few[0], evaluation=few[1])
