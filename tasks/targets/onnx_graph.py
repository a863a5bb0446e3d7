"""An ONNX graph as a torch module, so that gradients flow through it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from tasks.targets.onnx_node import Node, Unsupported, Value
from tasks.targets.onnx_operators import OPERATORS


class OnnxGraph(torch.nn.Module):
    """Runs the nodes of a graph in order.

    Args:
        model: A parsed model without external data.
        input_name: The graph's only real input.
        output_name: Which output answers scores.
        fixed_batch: The batch size that the graph was exported for, if it names one.

    Raises:
        Unsupported: Some operator is not converted; names all of them.
    """

    def __init__(
        self, model: onnx.ModelProto, input_name: str, output_name: str, fixed_batch: int | None
    ) -> None:
        super().__init__()
        self.input_name, self.output_name = input_name, output_name
        opset = max((entry.version for entry in model.opset_import if not entry.domain), default=1)
        self.fixed: dict[str, torch.Tensor] = {}
        self.learnt = torch.nn.ParameterList()
        self.places: dict[str, int] = {}
        for tensor in model.graph.initializer:
            self._keep(tensor.name, numpy_helper.to_array(tensor))
        self.nodes: list[Node] = []
        unknown: set[str] = set()
        for proto in model.graph.node:
            if proto.op_type == "Constant" and not proto.domain:
                self._keep(proto.output[0], _constant(proto))
            elif proto.domain not in {"", "ai.onnx"} or proto.op_type not in OPERATORS:
                unknown.add(f"{proto.domain}::{proto.op_type}" if proto.domain else proto.op_type)
            else:
                self.nodes.append(_node(proto, opset, fixed_batch))
        if unknown:
            raise Unsupported(f"no gradients through {', '.join(sorted(unknown))}")

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Returns what the chosen output answers."""
        values: dict[str, Value] = {"": None, self.input_name: inputs, **self.fixed}
        values |= {name: self.learnt[at] for name, at in self.places.items()}
        for node in self.nodes:
            answer = OPERATORS[node.operator](node, [values[name] for name in node.inputs])
            made: Iterable[torch.Tensor] = answer if isinstance(answer, tuple) else (answer,)
            values.update(zip(node.outputs, made, strict=False))
        output = values[self.output_name]
        if output is None:
            raise Unsupported(f"the graph never makes {self.output_name}")
        return output

    def fuse_softmax(self) -> bool:
        """Makes a final softmax answer its logarithm; True if there was one."""
        for at, node in enumerate(self.nodes):
            if self.output_name in node.outputs and node.operator in {"Softmax", "LogSoftmax"}:
                self.nodes[at] = node._replace(operator="LogSoftmax")
                return True
        return False

    def _keep(self, name: str, array: "np.ndarray[Any, Any]") -> None:
        if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
            self.places[name] = len(self.learnt)
            weight = torch.from_numpy(array.astype(np.float32))
            self.learnt.append(torch.nn.Parameter(weight, requires_grad=False))
        elif array.dtype.kind == "b":
            self.fixed[name] = torch.from_numpy(array.copy())
        elif array.dtype.kind in "iu":
            self.fixed[name] = torch.from_numpy(array.astype(np.int64))
        else:
            raise Unsupported(f"the constant {name} is {array.dtype}")


def _constant(proto: onnx.NodeProto) -> "np.ndarray[Any, Any]":
    settings = _settings(proto)
    if "value" in settings:
        return np.asarray(settings["value"])
    if "value_float" in settings or "value_floats" in settings:
        return np.asarray(settings.get("value_float", settings.get("value_floats")), np.float32)
    if "value_int" in settings or "value_ints" in settings:
        return np.asarray(settings.get("value_int", settings.get("value_ints")), np.int64)
    raise Unsupported("a Constant that is no number")


def _node(proto: onnx.NodeProto, opset: int, fixed_batch: int | None) -> Node:
    return Node(
        operator=proto.op_type,
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        settings=_settings(proto),
        opset=opset,
        fixed_batch=fixed_batch,
    )


def _settings(proto: onnx.NodeProto) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for attribute in proto.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, onnx.TensorProto):
            value = numpy_helper.to_array(value)
        settings[attribute.name] = value
    return settings
