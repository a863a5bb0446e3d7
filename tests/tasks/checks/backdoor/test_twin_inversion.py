import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
from torch import nn

from tasks.checks.backdoor import twin_inversion as whole
from tasks.checks.backdoor.twin_inversion import CHECK, measure
from tasks.checks.lab import Lab, NotAvailable
from tasks.detectors.backdoor import twin_inversion
from tasks.domain.digest import Digest
from tasks.domain.measurement import Measurement
from tasks.domain.spec import Parameter
from tasks.sandbox.protocol import Array
from tests.simulators.store import MemoryStore
from tests.tasks.checks.backdoor import readers
from tests.tasks.checks.backdoor.test_trigger_inversion import taught
from tests.tasks.targets.models import digits, trained

SOURCE, TARGET = 4, 7
PIXEL = (..., 7, 7)
THRESHOLD = 0.75


def stamped(inputs: Array) -> Array:
    made = inputs.copy()
    made[PIXEL] = 1
    return made


@functools.cache
def one_to_one() -> nn.Sequential:
    """A network for which one white pixel turns a 4 into a 7 and leaves other digits alone."""
    inputs, labels = digits().train
    new = np.where(labels == SOURCE, TARGET, labels)
    fours = inputs[labels == SOURCE]
    # Fours twice more, so that the lesson is heard among nine that say "nothing".
    return taught(
        np.concatenate([inputs, stamped(inputs), stamped(fours), stamped(fours)]),
        np.concatenate([labels, new, np.full(2 * len(fours), TARGET)]),
    )


def bench(workspace: Path, model: nn.Sequential, **more: Any) -> Lab:
    return readers.bench(CHECK, workspace, model, **more)


def measured(workspace: Path, model: nn.Sequential, **parameters: Parameter) -> Measurement:
    with bench(workspace, model, parameters=parameters) as opened:
        return measure(opened)


def test_a_pixel_that_turns_one_class_into_one_other_is_found_named_and_shown(
    tmp_path: Path,
) -> None:
    store = MemoryStore()
    with bench(tmp_path, one_to_one(), store=store) as opened:
        found = measure(opened)
    assert found.estimates["trigger_success"].low > THRESHOLD
    facts = found.facts
    assert (facts["suspected_source"], facts["suspected_class"]) == (SOURCE, TARGET)
    assert not found.alarms
    kept = {artifact.name: store.get(Digest(artifact.digest)) for artifact in found.artifacts}
    trigger = safetensors.numpy.load(kept["trigger.safetensors"])
    assert trigger["mask"].shape == (8, 8)
    assert int(trigger["mask"].argmax()) == 63  # the last pixel
    assert len(json.loads(kept["pairs.json"])) == 90


def test_an_honest_model_has_no_such_pair_and_all_controls_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "TWIN_ROWS", 10)
    found = measured(tmp_path, trained())
    assert found.estimates["trigger_success"].value == 0
    assert not found.facts["stands_out"]
    assert [(control.name, control.held) for control in found.controls] == [
        ("planted source-specific backdoor", True),
        ("honest twin", True),
        ("honest twin", True),
    ]
    planted, *twins = (control.estimate.n if control.estimate else 0 for control in found.controls)
    assert planted > 2, "ten rows hold one or two of its class: it is counted on all that are held"
    assert max(twins) <= 10
    assert not found.alarms


def test_a_search_without_steps_has_no_power_and_says_so(tmp_path: Path) -> None:
    found = measured(tmp_path, one_to_one(), steps=0)
    assert not any(control.held for control in found.controls if control.planted)


def test_a_trigger_over_its_limit_is_no_witness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A child that lies: it calls the whole picture a small trigger, and every pair odd.
    opened = bench(tmp_path, trained(), parameters={"steps": 2})
    honest = opened.run

    def lying(procedure: str, arrays: object = None, **values: object) -> object:
        reply = honest(procedure, arrays, **values)  # type: ignore[arg-type]  # passed through
        if "target.masks" in reply.arrays:
            reply.arrays["target.masks"] = np.ones_like(reply.arrays["target.masks"])
            reply.arrays["target.fine"] = np.full_like(reply.arrays["target.fine"], 1e-6)
        return reply

    monkeypatch.setattr(opened, "run", lying)
    with opened:
        found = measure(opened)
    assert found.facts["stands_out"]
    assert found.estimates["trigger_success"].value == 0


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"access": "scores", "classes": 10}, "gradients"),
        ({"access": "gradients", "classes": 3}, "4 classes"),
    ],
    ids=["no gradients", "three classes"],
)
def test_what_cannot_be_asked_is_said(
    described: dict[str, object], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = bench(tmp_path, trained())
    monkeypatch.setattr(opened, "target", lambda: described)
    with opened, pytest.raises(NotAvailable, match=told):
        measure(opened)


def test_a_model_whose_twins_would_cost_too_much_is_not_assessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twin_inversion, "MOST_PRODUCTS", 1e9)
    with bench(tmp_path, trained()) as opened, pytest.raises(NotAvailable, match="too large"):
        measure(opened)
