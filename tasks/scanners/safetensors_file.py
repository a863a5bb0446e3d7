"""safetensors, strictly: each byte belongs to the header or to exactly one tensor.

Source: safetensors format description 0.4 and later; header limit 100 MB there. No model needs
a third of that, and a header costs many times its size in memory once it is parsed.
"""

import dataclasses
import math
from typing import Any

from tasks.domain.severity import Severity
from tasks.scanners.config_walk import BrokenJson, strict_json
from tasks.scanners.inspection import Inspection
from tasks.scanners.json_config import check_string
from tasks.scanners.reading import View

MOST_HEADER = 32 << 20
BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
_ACTIVE = ("<script", "javascript:", "<iframe", "onerror=", "onload=", "<svg", "<img")


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One entry of the header; offsets count from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def looks_like_safetensors(view: View) -> bool:
    """Answers whether a JSON object follows a length.

    Eight letters and spaces before a brace are text (``claims: {``) and, as a length, far beyond
    what any reader of safetensors takes.
    """
    head = view.head(16)
    if len(head) < 10:
        return False
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or head[9:10] not in b'"} \n\t\r':
        return False
    return length <= MOST_HEADER or not head[:8].isascii() or not head[:8].decode().isprintable()


def inspect_safetensors(view: View, inspection: Inspection) -> str:
    """Checks header, layout and metadata."""
    try:
        tensors = read_tensors(view, inspection)
    except BrokenJson as reason:
        inspection.note("safetensors.malformed", Severity.HIGH, str(reason))
        return "safetensors"
    at = data = 8 + int.from_bytes(view.head(8), "little")
    for tensor in sorted(tensors, key=lambda each: (each.start, each.end)):
        if tensor.start < at:
            _note(inspection, "overlap", f"{tensor.name} overlaps another tensor", tensor.start)
        elif tensor.start > at:
            _note(inspection, "gap", f"{tensor.start - at} bytes belong to no tensor", at)
        at = max(at, tensor.end)
    if at > view.size:
        _note(inspection, "length", f"{at} bytes are declared, {view.size} are there", data)
    elif at < view.size:
        _note(inspection, "trailing_bytes", f"{view.size - at} bytes follow the last tensor", at)
        inspection.inside(view.part(at), "trailing bytes", around="bytes")
    return "safetensors"


def read_tensors(view: View, inspection: Inspection) -> list[Tensor]:
    """Reads the header, notes what is odd, and returns the tensors.

    Raises:
        BrokenJson: The header cannot be used at all.
    """
    length = int.from_bytes(view.head(8), "little")
    if length > MOST_HEADER or 8 + length > view.size:
        raise BrokenJson("malformed", f"a header of {length} bytes in a file of {view.size}")
    header, doubled = strict_json(view.read(8, length))
    if doubled:
        _note(inspection, "duplicate_key", f"{', '.join(doubled)}: which one counts?", 8)
    if not isinstance(header, dict):
        raise BrokenJson("malformed", "the header is no object")
    _check_metadata(header.pop("__metadata__", {}), inspection)
    tensors = [_tensor(name, entry, 8 + length) for name, entry in header.items()]
    for tensor in tensors:
        _check_size(tensor, inspection)
    return tensors


def _tensor(name: str, entry: Any, base: int) -> Tensor:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise BrokenJson("malformed", f"{name} is not dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    numbers = (
        [*shape, *offsets] if isinstance(shape, list) and isinstance(offsets, list) else [None]
    )
    if (
        dtype not in BITS
        or len(offsets) != 2
        or not all(type(n) is int and n >= 0 for n in numbers)
    ):
        raise BrokenJson("malformed", f"{name} has a dtype, shape or place that does not exist")
    return Tensor(name, dtype, tuple(shape), base + offsets[0], base + offsets[1])


def _check_size(tensor: Tensor, inspection: Inspection) -> None:
    expected = math.prod(tensor.shape) * BITS[tensor.dtype] / 8
    if tensor.end - tensor.start != expected:
        text = (
            f"{tensor.name} spans {tensor.end - tensor.start} bytes, its shape needs {expected:g}"
        )
        _note(inspection, "size", text, tensor.start)


def _check_metadata(metadata: Any, inspection: Inspection) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        inspection.note("safetensors.metadata", Severity.MEDIUM, "metadata is not text by key")
        return
    for key, text in metadata.items():
        lowered = f"{key} {text}".lower()
        if any(sign in lowered for sign in _ACTIVE):
            detail = f"metadata {key} holds active web content"
            inspection.note("text.active_content", Severity.MEDIUM, detail)
        check_string(text, f"__metadata__.{key}", inspection)


def _note(inspection: Inspection, rule: str, text: str, offset: int) -> None:
    inspection.note(f"safetensors.{rule}", Severity.HIGH, text, offset)
