"""ONNX operators that move values about and change none of them."""

import numpy as np
import torch
from torch.nn import functional

from tasks.targets.onnx_node import (
    BOOL,
    FLOATS,
    INTEGERS,
    Node,
    Operator,
    Unsupported,
    Value,
    maybe,
    need,
    numbers,
)


def _flatten(node: Node, values: list[Value]) -> torch.Tensor:
    value = need(values, 0)
    axis = int(node.settings.get("axis", 1)) % (value.dim() + 1)
    return value.reshape(int(np.prod(value.shape[:axis])), -1)


def _reshape(node: Node, values: list[Value]) -> torch.Tensor:
    value = need(values, 0)
    shape = numbers(node, values, 1, "shape")
    if shape is None:
        raise Unsupported("Reshape without a shape")
    if not node.settings.get("allowzero", 0):
        shape = [value.shape[at] if side == 0 else side for at, side in enumerate(shape)]
    if node.fixed_batch is not None and shape and shape[0] == node.fixed_batch:
        # Exported for one batch size; whether another works is compared with onnxruntime.
        shape[0] = value.shape[0]
    return value.reshape(shape)


def _transpose(node: Node, values: list[Value]) -> torch.Tensor:
    value = need(values, 0)
    return value.permute(list(node.settings.get("perm", reversed(range(value.dim())))))


def _squeeze(node: Node, values: list[Value]) -> torch.Tensor:
    value = need(values, 0)
    axes = numbers(node, values, 1, "axes")
    if axes is None:
        raise Unsupported("Squeeze without axes would also squeeze a batch of one")
    return value.squeeze(tuple(axis % value.dim() for axis in axes))


def _unsqueeze(node: Node, values: list[Value]) -> torch.Tensor:
    value = need(values, 0)
    axes = numbers(node, values, 1, "axes") or []
    rank = value.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        value = value.unsqueeze(axis)
    return value


def _concat(node: Node, values: list[Value]) -> torch.Tensor:
    parts = [need(values, at) for at in range(len(values))]
    return torch.cat(parts, dim=int(node.settings["axis"]))


def _shape(node: Node, values: list[Value]) -> torch.Tensor:
    sides = list(need(values, 0).shape)
    return torch.tensor(sides[node.settings.get("start", 0) : node.settings.get("end")])


def _gather(node: Node, values: list[Value]) -> torch.Tensor:
    value, picks = need(values, 0), need(values, 1).long()
    axis = int(node.settings.get("axis", 0)) % value.dim()
    picks = torch.where(picks < 0, picks + value.shape[axis], picks)
    gathered = value.index_select(axis, picks.reshape(-1))
    return gathered.reshape(*value.shape[:axis], *picks.shape, *value.shape[axis + 1 :])


def _slice(node: Node, values: list[Value]) -> torch.Tensor:
    value = need(values, 0)
    starts, ends = numbers(node, values, 1, "starts"), numbers(node, values, 2, "ends")
    if starts is None or ends is None:
        raise Unsupported("Slice without starts and ends")
    axes = numbers(node, values, 3, "axes") or list(range(len(starts)))
    steps = numbers(node, values, 4, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            raise Unsupported("Slice backwards")
        cut: list[slice] = [slice(None)] * value.dim()
        cut[axis] = slice(start, end, step)
        value = value[tuple(cut)]
    return value


def _cast(node: Node, values: list[Value]) -> torch.Tensor:
    value, to = need(values, 0), int(node.settings["to"])
    if to in FLOATS:
        return value.float()
    if to in INTEGERS:
        return value.long()
    if to == BOOL:
        return value.bool()
    raise Unsupported(f"Cast to type {to}")


def _pad(node: Node, values: list[Value]) -> torch.Tensor:
    value = need(values, 0)
    pads = numbers(node, values, 1, "pads")
    if pads is None or maybe(values, 3) is not None:
        raise Unsupported("Pad along chosen axes")
    count = value.dim()
    order = [edge for axis in reversed(range(count)) for edge in (pads[axis], pads[axis + count])]
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    mode = modes.get(node.settings.get("mode", "constant"))
    if mode is None:
        raise Unsupported(f"Pad in mode {node.settings.get('mode')}")
    fill = maybe(values, 2)
    amount = float(fill) if fill is not None else float(node.settings.get("value", 0.0))
    if mode == "constant":
        return functional.pad(value, order, value=amount)
    while order and order[-2:] == [0, 0]:
        order = order[:-2]
    return functional.pad(value, order, mode=mode)


def _split(node: Node, values: list[Value]) -> tuple[torch.Tensor, ...]:
    value, axis = need(values, 0), int(node.settings.get("axis", 0))
    sizes = numbers(node, values, 1, "split")
    if sizes is None:
        sizes = [-(-value.shape[axis] // len(node.outputs))] * len(node.outputs)
        sizes[-1] = value.shape[axis] - sum(sizes[:-1])
    return torch.split(value, sizes, dim=axis)


def _expand(_node: Node, values: list[Value]) -> torch.Tensor:
    value, shape = need(values, 0), need(values, 1)
    return value.expand(torch.broadcast_shapes(value.shape, tuple(shape.tolist())))


def _constant_of_shape(node: Node, values: list[Value]) -> torch.Tensor:
    fill = np.asarray(node.settings.get("value", np.zeros(1, np.float32))).reshape(-1)
    return torch.from_numpy(fill.copy()).expand(need(values, 0).tolist()).clone()


SHAPE_OPERATORS: dict[str, Operator] = {
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
