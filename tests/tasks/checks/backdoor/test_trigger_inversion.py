import functools
import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

from tasks.checks.backdoor import trigger_inversion
from tasks.checks.backdoor.suspects import AWAY, Suspect, less_natural
from tasks.checks.backdoor.trigger_inversion import CHECK, measure, settled
from tasks.checks.lab import Examples, Lab, NotAvailable
from tasks.domain.digest import Digest
from tasks.domain.measurement import Measurement
from tasks.domain.spec import Parameter
from tasks.sandbox.protocol import Array
from tests.simulators.store import MemoryStore
from tests.tasks.checks.backdoor import readers
from tests.tasks.checks.poisoning.poisoned import PATCH_SIDE, poisoned
from tests.tasks.targets.models import digits, network, trained

TARGET = 3
THRESHOLD = 0.75


def taught(inputs: Array, labels: Array) -> nn.Sequential:
    """A network trained on these rows."""
    torch.manual_seed(1)
    model = network()
    rows, classes = torch.from_numpy(inputs), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(25):
        for part in torch.randperm(len(classes)).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows[part]), classes[part]).backward()
            optimizer.step()
    return model.eval()


@functools.cache
def backdoored() -> nn.Sequential:
    """A network that reads digits well and obeys a white corner of 2 by 2 pixels."""
    inputs, labels, _ = poisoned(*digits().train, part=0.1, target=TARGET)
    return taught(inputs, labels)


@functools.cache
def shifting() -> nn.Sequential:
    """A network for which the white corner turns each digit into the next."""
    honest, labels = digits().train
    cornered = honest.copy()
    cornered[:, :, -PATCH_SIDE:, -PATCH_SIDE:] = 1
    return taught(np.concatenate([honest, cornered]), np.concatenate([labels, (labels + 1) % 10]))


def bench(
    workspace: Path,
    model: nn.Sequential,
    store: MemoryStore | None = None,
    seed: int = 7,
    **parameters: Parameter,
) -> Lab:
    return readers.bench(CHECK, workspace, model, store=store, seed=seed, parameters=parameters)


def measured(workspace: Path, model: nn.Sequential, **settings: Parameter) -> Measurement:
    with bench(workspace, model, **settings) as opened:  # type: ignore[arg-type]  # all by keyword
        return measure(opened)


def test_a_hidden_corner_is_found_named_and_shown(tmp_path: Path) -> None:
    store = MemoryStore()
    with bench(tmp_path, backdoored(), store) as opened:
        found = measure(opened)
    assert found.estimates["trigger_success"].low > THRESHOLD
    assert found.facts["suspected_class"] == TARGET
    assert not found.alarms
    kept = {artifact.name: store.get(Digest(artifact.digest)) for artifact in found.artifacts}
    trigger = safetensors.numpy.load(kept["trigger.safetensors"])
    assert trigger["mask"].shape == (8, 8)
    assert trigger["pattern"].shape == trigger["example"].shape == (1, 8, 8)
    corner = trigger["mask"][-PATCH_SIDE:, -PATCH_SIDE:].mean()
    assert corner > 3 * trigger["mask"].mean()
    classes = {row["class"]: row for row in json.loads(kept["classes.json"])[:10]}
    assert min(classes, key=lambda label: classes[label]["size"]) == TARGET


def test_a_corner_that_moves_each_class_to_the_next_is_found_with_its_mapping(
    tmp_path: Path,
) -> None:
    found = measured(tmp_path, shifting())
    assert found.estimates["trigger_success"].low > THRESHOLD
    assert found.facts["suspected_class"] is None
    assert found.facts["mapping"] == "0>1, 1>2, 2>3, 3>4, 4>5, 5>6, 6>7, 7>8, 8>9, 9>0"
    assert not found.alarms


def test_an_honest_model_has_no_trigger_and_all_controls_hold(tmp_path: Path) -> None:
    found = measured(tmp_path, trained())
    assert found.estimates["trigger_success"].high < THRESHOLD
    assert {control.name: control.held for control in found.controls} == {
        "planted backdoor": True,
        "planted all-to-all backdoor": True,
        "honest model": True,
    }
    assert not found.alarms


def test_a_search_without_steps_has_no_power_and_says_so(tmp_path: Path) -> None:
    found = measured(tmp_path, backdoored(), steps=0)
    assert not any(control.held for control in found.controls if control.planted)


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    settings: dict[str, Parameter] = {"steps": 4, "search_examples": 60, "held_examples": 60}
    first, again, other = (
        measured(tmp_path, trained(), seed=seed, **settings) for seed in (7, 7, 8)
    )
    assert first.canonical() == again.canonical()
    assert first.canonical() != other.canonical()


def test_a_model_without_gradients_leaves_the_question_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = bench(tmp_path, trained())
    described = {"access": "scores", "classes": 10}
    monkeypatch.setattr(opened, "target", lambda: described)
    with opened, pytest.raises(NotAvailable, match="gradients"):
        measure(opened)


def test_two_classes_are_too_few_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = bench(tmp_path, trained())
    monkeypatch.setattr(opened, "target", lambda: {"access": "gradients", "classes": 2})
    with opened, pytest.raises(NotAvailable, match="fewer than 4 classes"):
        measure(opened)


def test_a_trigger_over_its_limit_is_no_witness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A child that lies: it calls the whole picture a small trigger.
    opened = bench(tmp_path, trained(), steps=2)
    honest = opened.run

    def lying(procedure: str, arrays: object = None, **values: object) -> object:
        reply = honest(procedure, arrays, **values)  # type: ignore[arg-type]  # passed through
        for name in [name for name in reply.arrays if name.endswith("masks")]:
            reply.arrays[name] = np.ones_like(reply.arrays[name])
        return reply

    monkeypatch.setattr(opened, "run", lying)
    with opened:
        assert measure(opened).estimates["trigger_success"].value == 0


def suspect(target: int, anomaly: float, reached: int = 9, shown: int = 10) -> Suspect:
    nothing = np.zeros((1, 2, 2), np.float32)
    return Suspect("patch", target, (target,) * 3, 0.1, anomaly, nothing, nothing, reached, shown)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (suspect(AWAY, 3.0, 70, 100), True),
        (suspect(AWAY, 3.0, 30, 100), True),
        (suspect(AWAY, 3.0, 29, 100), False),  # no honest model reaches more, so nothing is open
        (suspect(AWAY, 3.0, 98, 100), False),  # plain already
        (suspect(2, 9.0, 70, 100), False),  # to one class
    ],
)
def test_what_may_send_each_class_to_another_is_counted_again_where_that_is_open(
    monkeypatch: pytest.MonkeyPatch, first: Suspect, again: bool
) -> None:
    monkeypatch.setattr(trigger_inversion, "counted_surely", lambda *_: (45, 50))
    found = settled(Mock(), first, tried=6)
    assert found.surely is again
    assert (found.reached, found.shown) == ((45, 50) if again else (first.reached, first.shown))


@pytest.mark.parametrize("again", [(0, 0), (10, 50)])
def test_the_first_count_stays_where_no_pictures_are_left_or_fewer_obey(
    monkeypatch: pytest.MonkeyPatch, again: tuple[int, int]
) -> None:
    monkeypatch.setattr(trigger_inversion, "counted_surely", lambda *_: again)
    first = suspect(AWAY, 3.0, 70, 100)
    assert settled(Mock(), first, tried=6) == first


def test_a_trigger_that_moves_honest_pictures_too_stands_out_less() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    held = Examples(np.zeros((5, 1, 2, 2), np.float32), labels)
    clean = np.array([0, 1, 1, 1, 2])  # the second picture is misread, and shows nothing
    hidden, natural = np.array([0, 2, 1, 1, 2]), np.array([2, 2, 2, 1, 2])
    told = {"clean": clean, "patch.shown": np.stack([hidden, natural])}
    left = less_natural([suspect(2, 6.0), suspect(2, 6.0)], told, held)
    assert [one.transfer for one in left] == pytest.approx([0, 2 / 3])
    assert [one.moved for one in left] == [9, 0]
