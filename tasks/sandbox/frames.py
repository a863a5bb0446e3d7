"""One message on a pipe: strict JSON, then arrays in the safetensors layout.

Both sides use this module, but only the parent needs its mistrust: what a child sends may be
forged, so nothing is allocated, shaped or believed before it was checked. Never pickle.
Source of the layout: https://github.com/huggingface/safetensors, "Format".
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
HEADER = struct.Struct("<IQ")
"""Lengths of the JSON text and of the arrays, in bytes."""
JSON_BYTES = 64 << 20
"""Longest JSON text either side reads."""
_TENSORS_HEADER_BYTES = 16 << 20
_MOST_DIMENSIONS = 32
_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class FrameError(ValueError):
    """Bytes that are not a message."""


class Message(NamedTuple):
    """What travels: one JSON object and named arrays."""

    body: dict[str, Any]
    arrays: dict[str, Array]


def encode(body: Mapping[str, Any], arrays: Mapping[str, Array]) -> list[memoryview]:
    """Returns the message as buffers to write one after the other; arrays are not copied.

    Raises:
        TypeError: An array's dtype cannot travel, or the body is not JSON.
        ValueError: The body holds NaN, infinity or half a character.
    """
    text = json.dumps(body, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    tensors = _tensors(arrays) if arrays else []
    header = HEADER.pack(len(text), sum(view.nbytes for view in tensors))
    return [memoryview(header), memoryview(text), *tensors]


def lengths(header: bytes, *, most: int) -> tuple[int, int]:
    """Reads a header: bytes of text and of arrays.

    Raises:
        FrameError: Together they are more than ``most``, or the text is beyond its own cap.
    """
    text, tensors = HEADER.unpack(header)
    if text > JSON_BYTES or text + tensors > most:
        raise FrameError(f"announces {text} + {tensors} bytes, allowed are {most}")
    return text, tensors


def decode_body(text: bytes | bytearray) -> dict[str, Any]:
    """Reads the JSON object of a message: no NaN, no infinity, no half characters.

    Raises:
        FrameError: It is something else.
    """
    try:
        body = json.loads(text, parse_constant=_refuse)
        json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise FrameError(f"is not strict JSON ({type(error).__name__})") from None
    if not isinstance(body, dict):
        raise FrameError("is not a JSON object")
    return body


def decode_arrays(data: Array) -> dict[str, Array]:
    """Reads arrays as views of ``data`` (bytes, uint8), after checking every number about them.

    Raises:
        FrameError: A name, dtype, shape or offset is wrong; bytes are left over or used twice.
    """
    if not data.size:
        return {}
    if data.size < 8:
        raise FrameError("the arrays have no header")
    (size,) = struct.unpack("<Q", data[:8].tobytes())
    if size > min(data.size - 8, _TENSORS_HEADER_BYTES):
        raise FrameError(f"the arrays' header of {size} bytes does not fit")
    entries = decode_body(data[8 : 8 + size].tobytes())
    entries.pop("__metadata__", None)
    return _views(entries, data[8 + size :])


def _views(entries: dict[str, Any], payload: Array) -> dict[str, Array]:
    found: dict[str, Array] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in entries.items():
        dtype, shape, start, end = _checked(name, entry, payload.size)
        spans.append((start, end))
        found[name] = _shaped(name, payload[start:end].view(dtype), shape)
    covered = 0
    for start, end in sorted(spans):
        if start != covered:
            raise FrameError("the arrays overlap or leave gaps")
        covered = end
    if covered != payload.size:
        raise FrameError(f"{payload.size - covered} bytes follow the arrays")
    return found


def _shaped(name: str, flat: Array, shape: list[int]) -> Array:
    try:
        return flat.reshape(shape)
    except ValueError:  # an empty array of absurd sides
        raise FrameError(f"array {name[:80]!r} has an impossible shape") from None


def _checked(name: str, entry: Any, room: int) -> tuple[np.dtype[Any], list[int], int, int]:
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [start, end]} if (
            kind in _DTYPES
            and len(shape) <= _MOST_DIMENSIONS
            and all(type(n) is int and 0 <= n < 1 << 62 for n in (*shape, start, end))
            and start <= end <= room
            and end - start == math.prod(shape) * _DTYPES[kind].itemsize
        ):
            return _DTYPES[kind], shape, start, end
        case _:
            raise FrameError(f"array {name[:80]!r} is not described consistently")


def _tensors(arrays: Mapping[str, Array]) -> list[memoryview]:
    # Widest items first, header padded to eight: every array starts aligned.
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    entries: dict[str, Any] = {}
    views: list[memoryview] = []
    start = 0
    for name, array in ordered:
        little = _travelling(name, array)
        end = start + little.nbytes
        entries[name] = {
            "dtype": _NAMES[little.dtype],
            "shape": list(little.shape),
            "data_offsets": [start, end],
        }
        if little.nbytes:
            views.append(memoryview(little.reshape(-1).view(np.uint8).data))
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [memoryview(struct.pack("<Q", len(text)) + text), *views]


def _travelling(name: str, array: Array) -> Array:
    if name == "__metadata__":
        raise ValueError("the layout keeps the name __metadata__ for itself")
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if little.dtype not in _NAMES:
        raise TypeError(f"array {name!r} of dtype {array.dtype} does not cross the boundary")
    return little


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
