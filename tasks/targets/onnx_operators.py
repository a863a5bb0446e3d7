"""What each ONNX operator computes, in torch: the ones that classifiers are made of.

Source: ONNX operator specification, opsets 7 to 23 (github.com/onnx/onnx, docs/Operators.md).
Anything that is not here, or a setting that is not, raises :class:`Unsupported`; the model is then
asked for scores only. Every converted graph is compared with onnxruntime before it is used.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from tasks.targets.onnx_node import Node, Operator, Unsupported, Value, maybe, need, numbers
from tasks.targets.onnx_shapes import SHAPE_OPERATORS

POOLS = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
AVERAGES = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> Operator:
    return lambda _node, values: function(need(values, 0))


def _binary(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Operator:
    return lambda _node, values: function(need(values, 0), need(values, 1))


def _divide(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    if left.is_floating_point() or right.is_floating_point():
        return left / right
    return torch.div(left, right, rounding_mode="trunc")


def _padded(
    node: Node, value: torch.Tensor, kernel: list[int], fill: float
) -> tuple[torch.Tensor, list[int]]:
    """Pads by ``pads`` or ``auto_pad``; returns what is left to the operator itself (symmetric)."""
    count = len(kernel)
    strides = list(node.settings.get("strides", [1] * count))
    dilations = list(node.settings.get("dilations", [1] * count))
    mode = node.settings.get("auto_pad", "NOTSET")
    pads = list(node.settings.get("pads", [0] * (2 * count)))
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        pads = _same(value, kernel, strides, dilations, lower=mode == "SAME_LOWER")
    if any(pad < 0 for pad in pads):
        raise Unsupported("negative padding")
    before, after = pads[:count], pads[count:]
    if before == after:
        return value, before
    order = [edge for pair in zip(reversed(before), reversed(after), strict=True) for edge in pair]
    return functional.pad(value, order, value=fill), [0] * count


def _same(
    value: torch.Tensor,
    kernel: list[int],
    strides: list[int],
    dilations: list[int],
    *,
    lower: bool,
) -> list[int]:
    before, after = [], []
    for size, side, step, gap in zip(value.shape[2:], kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // step) - 1) * step + (side - 1) * gap + 1 - size)
        small, large = total // 2, total - total // 2
        before.append(large if lower else small)
        after.append(small if lower else large)
    return before + after


def _convolution(node: Node, values: list[Value]) -> torch.Tensor:
    value, weight = need(values, 0), need(values, 1)
    count = weight.dim() - 2
    if count not in CONVOLUTIONS:
        raise Unsupported(f"convolution along {count} axes")
    value, padding = _padded(node, value, list(weight.shape[2:]), 0.0)
    return CONVOLUTIONS[count](
        value,
        weight,
        maybe(values, 2),
        list(node.settings.get("strides", [1] * count)),
        padding,
        list(node.settings.get("dilations", [1] * count)),
        int(node.settings.get("group", 1)),
    )


def _max_pool(node: Node, values: list[Value]) -> torch.Tensor:
    kernel = [int(side) for side in node.settings["kernel_shape"]]
    if len(node.outputs) > 1 or node.settings.get("storage_order", 0):
        raise Unsupported("MaxPool with indices")
    value, padding = _padded(node, need(values, 0), kernel, -np.inf)
    if any(pad * 2 > side for pad, side in zip(padding, kernel, strict=True)):
        raise Unsupported("MaxPool with padding wider than half its window")
    pooled: torch.Tensor = POOLS[len(kernel)](
        value,
        kernel,
        list(node.settings.get("strides", [1] * len(kernel))),
        padding,
        list(node.settings.get("dilations", [1] * len(kernel))),
        ceil_mode=bool(node.settings.get("ceil_mode", 0)),
    )
    return pooled


def _average_pool(node: Node, values: list[Value]) -> torch.Tensor:
    kernel = [int(side) for side in node.settings["kernel_shape"]]
    value, padding = _padded(node, need(values, 0), kernel, 0.0)
    moved = value is not values[0]
    counted = bool(node.settings.get("count_include_pad", 0))
    if (moved and not counted) or set(node.settings.get("dilations", [1])) != {1}:
        raise Unsupported("AveragePool with uneven padding or dilation")
    return AVERAGES[len(kernel)](
        value,
        kernel,
        list(node.settings.get("strides", [1] * len(kernel))),
        padding,
        bool(node.settings.get("ceil_mode", 0)),
        counted,
    )


def _global(reduce: Callable[..., torch.Tensor]) -> Operator:
    def operator(_node: Node, values: list[Value]) -> torch.Tensor:
        value = need(values, 0)
        return reduce(value, dim=tuple(range(2, value.dim())), keepdim=True)

    return operator


def _gemm(node: Node, values: list[Value]) -> torch.Tensor:
    left, right, bias = need(values, 0), need(values, 1), maybe(values, 2)
    left = left.T if node.settings.get("transA", 0) else left
    right = right.T if node.settings.get("transB", 0) else right
    product = left @ right * float(node.settings.get("alpha", 1.0))
    return product if bias is None else product + bias * float(node.settings.get("beta", 1.0))


def _batch_normalization(node: Node, values: list[Value]) -> torch.Tensor:
    if node.settings.get("training_mode", 0) or len(node.outputs) > 1:
        raise Unsupported("BatchNormalization in training mode")
    value, scale, bias, mean, variance = (need(values, at) for at in range(5))
    epsilon = float(node.settings.get("epsilon", 1e-5))
    return functional.batch_norm(value, mean, variance, scale, bias, training=False, eps=epsilon)


def _layer_normalization(node: Node, values: list[Value]) -> torch.Tensor:
    value, scale = need(values, 0), need(values, 1)
    axis = int(node.settings.get("axis", -1)) % value.dim()
    if len(node.outputs) > 1 and any(node.outputs[1:]):
        raise Unsupported("LayerNormalization with statistics")
    epsilon = float(node.settings.get("epsilon", 1e-5))
    shape = list(value.shape[axis:])
    normal = functional.layer_norm(value, shape, eps=epsilon) * scale
    bias = maybe(values, 2)
    return normal if bias is None else normal + bias


def _instance_normalization(node: Node, values: list[Value]) -> torch.Tensor:
    value, scale, bias = (need(values, at) for at in range(3))
    epsilon = float(node.settings.get("epsilon", 1e-5))
    return functional.instance_norm(value, weight=scale, bias=bias, eps=epsilon)


def _reduce(reduce: Callable[..., torch.Tensor]) -> Operator:
    def operator(node: Node, values: list[Value]) -> torch.Tensor:
        value = need(values, 0)
        axes = numbers(node, values, 1, "axes")
        if axes is None and node.settings.get("noop_with_empty_axes", 0):
            return value
        chosen = tuple(range(value.dim())) if axes is None else tuple(axes)
        return reduce(value, dim=chosen, keepdim=bool(node.settings.get("keepdims", 1)))

    return operator


def _softmax(function: Callable[..., torch.Tensor]) -> Operator:
    def operator(node: Node, values: list[Value]) -> torch.Tensor:
        value = need(values, 0)
        if node.opset >= 13:
            return function(value, dim=int(node.settings.get("axis", -1)))
        # Before opset 13 everything from the axis on counts as one.
        axis = int(node.settings.get("axis", 1)) % value.dim()
        flat = value.reshape(*value.shape[:axis], -1)
        return function(flat, dim=-1).reshape(value.shape)

    return operator


def _clip(node: Node, values: list[Value]) -> torch.Tensor:
    low, high = maybe(values, 1), maybe(values, 2)
    least = float(low) if low is not None else node.settings.get("min")
    most = float(high) if high is not None else node.settings.get("max")
    value = need(values, 0)
    return value if least is None and most is None else value.clamp(least, most)


def _leaky(default: float) -> Operator:
    return lambda node, values: functional.leaky_relu(
        need(values, 0), float(node.settings.get("alpha", default))
    )


def _hard_sigmoid(node: Node, values: list[Value]) -> torch.Tensor:
    slope, middle = node.settings.get("alpha", 0.2), node.settings.get("beta", 0.5)
    return (need(values, 0) * float(slope) + float(middle)).clamp(0, 1)


def _p_relu(_node: Node, values: list[Value]) -> torch.Tensor:
    value, slope = need(values, 0), need(values, 1)
    return torch.where(value < 0, value * slope, value)


def _gelu(node: Node, values: list[Value]) -> torch.Tensor:
    approximate = str(node.settings.get("approximate", "none"))
    return functional.gelu(need(values, 0), approximate=approximate)


def _elu(node: Node, values: list[Value]) -> torch.Tensor:
    return functional.elu(need(values, 0), float(node.settings.get("alpha", 1.0)))


OPERATORS: dict[str, Operator] = {
    **SHAPE_OPERATORS,
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Conv": _convolution,
    "Div": _binary(_divide),
    "Dropout": _unary(lambda value: value),
    "Elu": _elu,
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global(torch.mean),
    "GlobalMaxPool": _global(torch.amax),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(functional.hardswish),
    "Identity": _unary(lambda value: value),
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _leaky(0.01),
    "Log": _unary(torch.log),
    "LogSoftmax": _softmax(torch.log_softmax),
    "MatMul": _binary(torch.matmul),
    "Max": _binary(torch.maximum),
    "MaxPool": _max_pool,
    "Min": _binary(torch.minimum),
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "PRelu": _p_relu,
    "Pow": _binary(torch.pow),
    "Reciprocal": _unary(torch.reciprocal),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Relu": _unary(torch.relu),
    "Sigmoid": _unary(torch.sigmoid),
    "Softmax": _softmax(torch.softmax),
    "Softplus": _unary(functional.softplus),
    "Sqrt": _unary(torch.sqrt),
    "Sub": _binary(torch.sub),
    "Tanh": _unary(torch.tanh),
}
