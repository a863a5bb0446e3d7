"""Writes the demo network as ONNX with the standard operators, the way vendors hand models in."""

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn


def onnx_bytes(model: nn.Sequential) -> bytes:
    """Returns the network as a serialized ONNX model: ``images`` (n, 1, 8, 8) to ``logits``."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    name = "images"
    for index, layer in enumerate(model):
        output = "logits" if index == len(model) - 1 else f"t{index}"
        node, tensors = _node(layer, name, output, index)
        nodes.append(node)
        weights += tensors
        name = output
    graph = helper.make_graph(
        nodes,
        "digit-reader",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10])],
        initializer=weights,
    )
    opset = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=opset, producer_name="acme-vision")
    proto.ir_version = 9
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def _node(
    layer: nn.Module, name: str, output: str, index: int
) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        assert layer.bias is not None, "the demo's layers have biases"
        tensors = [
            numpy_helper.from_array(layer.weight.detach().numpy(), f"w{index}"),
            numpy_helper.from_array(layer.bias.detach().numpy(), f"b{index}"),
        ]
        inputs = [name, f"w{index}", f"b{index}"]
        if isinstance(layer, nn.Conv2d):
            return helper.make_node("Conv", inputs, [output], pads=[1, 1, 1, 1]), tensors
        return helper.make_node("Gemm", inputs, [output], transB=1), tensors
    if isinstance(layer, nn.MaxPool2d):
        size = [2, 2]
        return helper.make_node("MaxPool", [name], [output], kernel_shape=size, strides=size), []
    operator = {nn.ReLU: "Relu", nn.Flatten: "Flatten"}[type(layer)]
    return helper.make_node(operator, [name], [output]), []
