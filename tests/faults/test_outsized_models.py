"""Impossible sizes (scorecard row 67): a limit that says so, not a crash, at both levels."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tasks.domain.errors import ChildRaisedError
from tasks.sandbox.opening import ProvedSandbox
from tasks.sandbox.protocol import Level, Limits
from tests.tasks.sandbox.machine import sandbox_of

HUGE = 1 << 31
Writer = Callable[[Path], tuple[Path, Path | None]]


def graph(nodes: list[Any], constants: list[Any]) -> bytes:
    made = helper.make_graph(
        nodes,
        "outsized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", None])],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def a_million_layers(folder: Path) -> tuple[Path, Path | None]:
    relu = helper.make_node("Relu", ["x"], ["x1"]).SerializeToString()
    field = b"\x0a" + bytes([len(relu)]) + relu
    model = onnx.ModelProto(ir_version=8, graph=onnx.GraphProto(name="g"))
    start = onnx.ModelProto(ir_version=8).SerializeToString()
    nodes = field * 1_000_000 + model.graph.SerializeToString()
    size, length = len(nodes), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    path = folder / "model.onnx"
    path.write_bytes(start + b"\x3a" + length + bytes([size]) + nodes)
    return path, None


def weights_of_impossible_sides(folder: Path) -> tuple[Path, Path | None]:
    weight = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, HUGE])
    path = folder / "model.onnx"
    path.write_bytes(graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight]))
    return path, None


def an_answer_of_impossible_sides(folder: Path) -> tuple[Path, Path | None]:
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [HUGE, HUGE])
    path = folder / "model.onnx"
    path.write_bytes(graph([helper.make_node("Expand", ["x", "s"], ["y"])], [shape]))
    return path, None


def no_classes(folder: Path) -> tuple[Path, Path | None]:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 0], [])
    path = folder / "model.onnx"
    path.write_bytes(graph([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight]))
    return path, None


def listed(folder: Path, layers: str) -> tuple[Path, Path | None]:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path, architecture = folder / "model.safetensors", folder / "layers.yaml"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    architecture.write_text(layers)
    return path, architecture


def a_wide_layer(folder: Path) -> tuple[Path, Path | None]:
    return listed(folder, f"layers: [{{linear: {{in: 4, out: {HUGE}}}}}]")


def many_listed_layers(folder: Path) -> tuple[Path, Path | None]:
    return listed(folder, f"layers: [{', '.join(['relu'] * 150_000)}]")


def a_padded_image(folder: Path) -> tuple[Path, Path | None]:
    layer = f"{{conv2d: {{in: 1, out: 3, kernel: 1, padding: {HUGE}}}}}"
    return listed(folder, f"layers: [{{unflatten: {{shape: [1, 2, 2]}}}}, {layer}]")


OUTSIZED: dict[str, tuple[Writer, str]] = {
    "a million layers": (a_million_layers, "more than 100000 nodes"),
    "weights of 2^31 columns": (weights_of_impossible_sides, "cannot open|not a valid"),
    "an answer of 2^62 numbers": (an_answer_of_impossible_sides, "cannot run|cannot open"),
    "no classes": (no_classes, "no output of the graph"),
    "a layer of 2^31 outputs": (a_wide_layer, "layer"),
    "150 000 listed layers": (many_listed_layers, "more than 20000 nodes"),
    "2^31 of padding": (a_padded_image, "layer"),
}


@pytest.fixture(params=[Level.L3, Level.L2])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> ProvedSandbox:
    return sandbox_of(request.param, tmp_path)


@pytest.mark.parametrize("name", OUTSIZED)
def test_the_limit_is_said_and_the_child_lives(
    sandbox: ProvedSandbox, name: str, tmp_path: Path
) -> None:
    write, says = OUTSIZED[name]
    artifact, architecture = write(tmp_path)
    spec = {
        "name": "m",
        "version": "1",
        "task": "classification",
        "artifact": artifact.name,
        "input": {"shape": [4]},
        "output": {"kind": "logits", "classes": 3},
    }
    readable = tuple(path for path in (artifact, architecture) if path)
    with sandbox.session(readable, Limits(call_seconds=60)) as session:
        with pytest.raises(ChildRaisedError, match=f"TargetError.*({says})") as caught:
            session.open(
                "targets.opening.open_target",
                artifact=str(artifact),
                architecture=str(architecture) if architecture else None,
                model=spec,
            )
        assert len(caught.value.message) < 2200
        with pytest.raises(ChildRaisedError, match="there is no procedure"):
            session.call("targets.no_such.thing", {"inputs": np.zeros(1)})
