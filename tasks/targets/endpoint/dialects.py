"""Questions and answers as bytes: the Open Inference Protocol, or JSON by a declared mapping.

Answers may be hostile. They are read as strict, size-capped JSON into one array of numbers, and
everything else about them (shape, range, NaN) is looked at again by whoever asked.
Source of ``v2``: https://github.com/kserve/open-inference-protocol, inference_rest.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tasks.domain.bundle import Endpoint, InputSpec, JsonMapping
from tasks.domain.errors import EndpointAnswerError
from tasks.sandbox.protocol import Array

MOST_NUMBERS = 1 << 22
"""Numbers that one answer may hold, whatever the bundle promises."""


def encoded(endpoint: Endpoint, spec: InputSpec, inputs: Array) -> bytes:
    """Returns the question about ``inputs`` (n, …), normalised values."""
    whole = spec.dtype == "uint8" and set(spec.mean) == {0.0} and set(spec.std) == {1.0}
    items = np.rint(inputs).astype(np.uint8) if whole else inputs.astype(np.float64)
    body = _V2.question(endpoint, items) if endpoint.protocol == "v2" else _mapped(endpoint, items)
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()


def decoded(endpoint: Endpoint, body: bytes, *, items: int) -> Array:
    """Returns the numbers of an answer to ``items`` questions, float64 (items, …); may hold NaN.

    Raises:
        EndpointAnswerError: It is not JSON, not where it should be, or not numbers.
    """
    try:
        document = json.loads(body, parse_constant=float)
    except (ValueError, RecursionError) as error:
        raise EndpointAnswerError(f"the answer is not JSON ({type(error).__name__})") from None
    read: Callable[[Endpoint, Any], Any] = (
        _V2.answer if endpoint.protocol == "v2" else _mapped_answer
    )
    numbers = _numbers(read(endpoint, document))
    if numbers.ndim < 1 or len(numbers) != items:
        raise EndpointAnswerError(f"the answer is {numbers.shape} for {items} items")
    return numbers


class _V2:
    """Open Inference Protocol, one tensor in and one out."""

    @staticmethod
    def question(endpoint: Endpoint, items: Array) -> dict[str, Any]:
        whole = items.dtype == np.uint8
        return {
            "inputs": [
                {
                    "name": endpoint.input_name,
                    "shape": list(items.shape),
                    "datatype": "UINT8" if whole else "FP32",
                    "data": items.reshape(-1).tolist(),
                }
            ]
        }

    @staticmethod
    def answer(endpoint: Endpoint, document: Any) -> Any:
        match document:
            case {"outputs": [*outputs]}:
                tensors = [each for each in outputs if isinstance(each, dict)]
            case _:
                raise EndpointAnswerError('the answer has no list "outputs"')
        wanted = endpoint.output_name
        named = [each for each in tensors if not wanted or each.get("name") == wanted]
        if len(named) != 1:
            names = [str(each.get("name"))[:40] for each in tensors[:8]]
            raise EndpointAnswerError(
                f"the answer has the outputs {names}, wanted is one"
                f"{f' called {wanted!r}' if wanted else ': set endpoint.output_name'}"
            )
        return _shaped(named[0])


def _shaped(tensor: dict[str, Any]) -> Array:
    shape, numbers = tensor.get("shape"), _numbers(tensor.get("data"))
    sides = isinstance(shape, list) and all(type(n) is int and 0 <= n < 1 << 31 for n in shape)
    if not sides or not shape or math.prod(shape) != numbers.size:
        raise EndpointAnswerError(
            f"the output says shape {str(shape)[:80]} and holds {numbers.size} numbers"
        )
    return numbers.reshape(shape)


def _mapped(endpoint: Endpoint, items: Array) -> Any:
    mapping = endpoint.mapping
    body: Any = (items.reshape(len(items), -1) if mapping.flat else items).tolist()
    for key in reversed(_keys(mapping.inputs)):
        body = {key: body}
    return body


def _mapped_answer(endpoint: Endpoint, document: Any) -> Any:
    mapping: JsonMapping = endpoint.mapping
    entries = _at(document, mapping.answers)
    if not isinstance(entries, list):
        raise EndpointAnswerError(f"the answer holds no list at {mapping.answers!r}")
    return [_at(entry, mapping.each) for entry in entries]


def _at(document: Any, path: str) -> Any:
    for key in _keys(path):
        match document:
            case dict() if key in document:
                document = document[key]
            case list() if key.isascii() and key.isdigit() and int(key) < len(document):
                document = document[int(key)]
            case _:
                raise EndpointAnswerError(f"the answer holds nothing at {path!r}")
    return document


def _keys(path: str) -> list[str]:
    return path.split(".") if path else []


def _numbers(values: Any) -> Array:
    """Reads nested lists of JSON numbers; text and truth values are no numbers."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError, RecursionError) as error:
        raise EndpointAnswerError("the answer's lists have different lengths") from error
    if array.size == 0 or array.dtype.kind not in "iuf":
        raise EndpointAnswerError(
            f"the answer holds {array.dtype.name} of shape {array.shape} instead of numbers"
        )
    if array.size > MOST_NUMBERS:
        raise EndpointAnswerError(f"the answer holds {array.size} numbers, more than any model's")
    return array.astype(np.float64)
