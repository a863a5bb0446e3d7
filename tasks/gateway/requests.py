"""Requests of the Open Inference Protocol: from hostile bytes to checked inputs, or a reason.

Source: https://github.com/kserve/open-inference-protocol, inference_rest. One tensor in, JSON.
Values are as the model's own interface takes them, that is normalised by the bundle's mean and
standard deviation; checks and telemetry work on raw values.
"""

import math
from typing import Any

import numpy as np
import orjson

from tasks.domain.bundle import InputSpec
from tasks.domain.errors import RequestRefusedError
from tasks.sandbox.protocol import Array

DATATYPES = {"FP32", "FP64", "FP16", "UINT8", "INT8", "INT16", "INT32", "INT64"}
_OUTSIDE = 1e-3
"""Of the range's width: what rounding on the way may add."""


class InputReader:
    """Reads the inputs of one model.

    Args:
        spec: One item's shape and range.
        items: Most items in one request.
    """

    def __init__(self, spec: InputSpec, items: int) -> None:
        self.spec, self._items = spec, items
        per_channel = (-1,) + (1,) * (len(spec.shape) - 1)
        self._mean = np.array(spec.mean, np.float32).reshape(per_channel)
        self._std = np.array(spec.std, np.float32).reshape(per_channel)
        self._low, self._high = (np.float32(end) for end in spec.range)
        self._slack = np.float32(_OUTSIDE) * (self._high - self._low)
        self._size = math.prod(spec.shape)

    def read(self, body: bytes) -> tuple[Array, str]:
        """Returns raw inputs (n, …) float32 and the request's own id ("" when it has none).

        Raises:
            RequestRefusedError: The body is not JSON, not this protocol, or not such inputs.
        """
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise RequestRefusedError(f"the body is not JSON: {str(error)[:100]}") from None
        tensor, told = _tensor(document)
        shape = tensor.get("shape")
        if not (
            isinstance(shape, list)
            and len(shape) == 1 + len(self.spec.shape)
            and all(type(side) is int and 0 < side < 1 << 31 for side in shape)
            and tuple(shape[1:]) == self.spec.shape
        ):
            wanted = [-1, *self.spec.shape]
            raise RequestRefusedError(f"the input's shape is {str(shape)[:80]}, wanted {wanted}")
        if shape[0] > self._items:
            raise RequestRefusedError(f"{shape[0]} items at once, at most {self._items} are taken")
        return self._raw(_numbers(tensor.get("data"), shape[0] * self._size), shape), told

    def _raw(self, numbers: Array, shape: list[int]) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            values = numbers.astype(np.float32).reshape(shape)
            raw: Array = values * self._std + self._mean
        if not ((raw >= self._low - self._slack) & (raw <= self._high + self._slack)).all():
            raise RequestRefusedError(
                f"values lie outside the range of the model, {self.spec.range[0]:g} to "
                f"{self.spec.range[1]:g} before normalisation"
            )
        return np.clip(raw, self._low, self._high)


def _tensor(document: Any) -> tuple[dict[str, Any], str]:
    match document:
        case {"inputs": [dict(tensor)], **rest}:
            told = rest.get("id", "")
        case {"inputs": [_, _, *_]}:
            raise RequestRefusedError("the model takes one input tensor")
        case _:
            raise RequestRefusedError('the body is no inference request: {"inputs": [{…}]}')
    if tensor.get("datatype") not in DATATYPES:
        raise RequestRefusedError(f"the datatype must be one of {', '.join(sorted(DATATYPES))}")
    if not isinstance(told, str) or len(told) > 128 or not told.isprintable():
        raise RequestRefusedError("the request's id must be printable text of at most 128 letters")
    return tensor, told


def _numbers(data: Any, count: int) -> Array:
    """Reads nested lists of JSON numbers; text, truth values alone and null are no numbers."""
    if not isinstance(data, list):
        raise RequestRefusedError("the input's data must be a list")
    try:
        numbers = np.asarray(data)
    except (ValueError, OverflowError, RecursionError):
        raise RequestRefusedError("the input's lists have different lengths") from None
    if numbers.dtype.kind not in "iuf":
        raise RequestRefusedError("the input's data must be numbers")
    if numbers.size != count:
        raise RequestRefusedError(f"the input holds {numbers.size} numbers, its shape {count}")
    return numbers
