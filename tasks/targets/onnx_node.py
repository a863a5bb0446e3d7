"""One operation of an ONNX graph, and how its inputs and settings are read."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

Value = torch.Tensor | None
FLOATS = {1, 10, 11, 16}  # TensorProto: float, float16, double, bfloat16; all computed in float32
INTEGERS = {2, 3, 4, 5, 6, 7, 12, 13}
BOOL = 9


class Unsupported(Exception):  # noqa: N818  - a reason to fall back, not a failure
    """This operator, or this setting of it, is not converted."""


class Node(NamedTuple):
    """One operation: names in and out, settings, and the opset that gives them meaning."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[str, Any]
    opset: int
    fixed_batch: int | None = None


Operator = Callable[[Node, list[Value]], torch.Tensor | tuple[torch.Tensor, ...]]


def need(values: list[Value], at: int) -> torch.Tensor:
    """Returns an input; raises :class:`Unsupported` when it is left out."""
    value = values[at] if at < len(values) else None
    if value is None:
        raise Unsupported(f"input {at} is left out")
    return value


def maybe(values: list[Value], at: int) -> Value:
    """Returns an optional input, or None."""
    return values[at] if at < len(values) else None


def numbers(node: Node, values: list[Value], at: int, name: str) -> list[int] | None:
    """Reads integers that older opsets keep in a setting and newer ones in an input."""
    value = maybe(values, at)
    if value is not None:
        return [int(number) for number in value.reshape(-1).tolist()]
    kept = node.settings.get(name)
    return None if kept is None else [int(number) for number in np.atleast_1d(kept)]
