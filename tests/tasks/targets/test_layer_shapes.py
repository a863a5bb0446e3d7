"""Shapes worked out without data are those of the real answers, for every kind of layer."""

from typing import Any

import pytest
import torch
from torch import nn

from tasks.targets.layer_file import KINDS
from tasks.targets.layer_shapes import answer_of
from tests.tasks.sandbox.test_lean import lean

SETTINGS: dict[str, dict[str, Any]] = {
    "conv2d": {"in": 4, "out": 6, "kernel": (3, 2), "stride": (2, 1), "padding": 1, "dilation": 2},
    "conv1d": {"in": 4, "out": 6, "kernel": 3, "stride": 2, "padding": 1, "dilation": 2},
    "linear": {"in": 9, "out": 3},
    "avg_pool2d": {"kernel": 2, "padding": 1},
    "max_pool2d": {"kernel": 2, "ceil_mode": True},
    "adaptive_avg_pool2d": {"output": (2, 3)},
    "batch_norm2d": {"features": 4},
    "batch_norm1d": {"features": 4},
    "layer_norm": {"shape": (9, 9)},
    "zero_pad2d": {"padding": (1, 2, 3, 4)},
    "reflection_pad2d": {"padding": (1, 2, 3, 4)},
}
MEASURE = """
from tasks.targets.layer_file import KINDS
from tasks.targets.layer_shapes import answer_of
from tasks.targets.layers import MAKERS
answer = {}
for kind, make in MAKERS.items():
    shape = (1, 4, 9) if kind.endswith("1d") else (1, 4, 9, 9)
    layer = make(KINDS[kind].model_validate(SETTINGS.get(kind, {}))).eval()
    without = answer_of(layer, torch.empty(shape, device="meta"))
    assert without.is_meta
    real = layer.to_empty(device="cpu")(torch.zeros(shape))
    answer[kind] = [list(without.shape), list(real.shape)]
"""
MISFITS = {
    "larger than its input": (nn.Conv2d(1, 1, 5), (1, 1, 4, 4)),
    "an image layer on a row": (nn.Conv2d(1, 1, 1), (1, 64)),
    "a row layer on images": (nn.Conv1d(1, 1, 1), (1, 1, 4, 4)),
    "normalised over other axes": (nn.LayerNorm([3]), (1, 1, 4)),
    "normalised images of a row": (nn.BatchNorm2d(1), (1, 1)),
    "mirrored past the far side": (nn.ReflectionPad2d(4), (1, 1, 4, 4)),
    "pooled row": (nn.AdaptiveAvgPool2d(2), (1, 4)),
}


def test_every_kind_answers_as_the_real_layer_does() -> None:
    """In a process like a child's, where torch's own rules are left out."""
    answer, modules = lean(f"SETTINGS = {SETTINGS!r}\n{MEASURE}")
    assert set(answer) == set(KINDS) - {"residual"}
    assert {kind: pair for kind, pair in answer.items() if pair[0] != pair[1]} == {}
    assert "torch._meta_registrations" not in modules, "a child would pay a second for them"


@pytest.mark.parametrize("why", MISFITS)
def test_what_cannot_be_taken_is_refused_with_and_without_data(why: str) -> None:
    layer, shape = MISFITS[why]
    with pytest.raises((RuntimeError, ValueError)):
        layer(torch.zeros(shape))
    with pytest.raises((RuntimeError, ValueError)):
        answer_of(layer, torch.empty(shape, device="meta"))
