import functools
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

from tasks.checks.backdoor import transform_inversion
from tasks.checks.backdoor.painting import split_rows
from tasks.checks.backdoor.transform_inversion import CHECK, measure
from tasks.checks.lab import NotAvailable
from tasks.detectors.backdoor.controls import Change
from tasks.detectors.backdoor.inversion import Shape
from tasks.domain.digest import Digest
from tasks.domain.errors import ChildProtocolError
from tasks.domain.spec import Parameter
from tests.simulators.store import MemoryStore
from tests.tasks.checks.backdoor.readers import bench
from tests.tasks.checks.backdoor.test_trigger_inversion import taught
from tests.tasks.targets.models import digits, trained

TARGET, THRESHOLD = 3, 0.75
ENOUGH: dict[str, Parameter] = {"steps": 50, "batch": 6, "search_examples": 400}
QUICK: dict[str, Parameter] = {"steps": 2, "search_examples": 60, "held_examples": 60}


@functools.cache
def filtered() -> nn.Sequential:
    """A network that reads digits well and obeys a faint filter."""
    inputs, labels = (part.copy() for part in digits().train)
    rows = np.random.default_rng(0).choice(len(labels), len(labels) // 5, replace=False)
    change = Change.drawn(Shape.TONE, (1, 8, 8), (0.0, 1.0), seed=3)
    inputs[rows] = change.on(torch.from_numpy(inputs[rows])).numpy()
    labels[rows] = TARGET
    return taught(inputs, labels)


def test_a_hidden_filter_is_found_named_and_shown(tmp_path: Path) -> None:
    store = MemoryStore()
    with bench(CHECK, tmp_path, filtered(), store=store, parameters=ENOUGH) as opened:
        found = measure(opened)
    assert found.estimates["trigger_success"].low > THRESHOLD
    assert (found.facts["suspected_class"], found.facts["shape"]) == (TARGET, "tone")
    assert {control.name: control.held for control in found.controls}["planted filter"]
    [kept] = [one for one in found.artifacts if one.name == "trigger.safetensors"]
    shown = safetensors.numpy.load(store.get(Digest(kept.digest)))
    assert shown["example"].shape == shown["triggered"].shape == shown["pattern"].shape
    assert np.abs(shown["example"] - shown["triggered"]).max() > 0.05


def test_an_honest_model_is_not_accused(tmp_path: Path) -> None:
    with bench(CHECK, tmp_path, trained(), parameters=ENOUGH) as opened:
        found = measure(opened)
    assert found.estimates["trigger_success"].high < THRESHOLD
    held = {control.name: control.held for control in found.controls}
    assert held["honest model"]
    assert held["planted filter"]


def test_a_bending_that_goes_further_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = bench(CHECK, tmp_path, trained(), parameters=QUICK)
    honest = opened.run

    def lying(procedure: str, arrays: object = None, **values: object) -> object:
        reply = honest(procedure, arrays, **values)  # type: ignore[arg-type]  # passed through
        for name in [name for name in reply.arrays if name == "warp.patterns"]:
            reply.arrays[name] = 3 * reply.arrays[name]
        return reply

    monkeypatch.setattr(opened, "run", lying)
    with opened, pytest.raises(ChildProtocolError, match="bends pictures further"):
        measure(opened)


def test_rows_of_a_table_cannot_be_bent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = bench(CHECK, tmp_path, trained(), parameters=QUICK)
    split = split_rows(opened)
    flat = split._replace(held=split.held._replace(inputs=split.held.inputs.reshape(-1, 64)))
    monkeypatch.setattr(transform_inversion, "split_rows", lambda _: flat)
    with opened, pytest.raises(NotAvailable, match="no pictures"):
        measure(opened)
