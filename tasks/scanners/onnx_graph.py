"""ONNX graphs: external data paths, operators from elsewhere, giant or lying tensors, cycles.

Walks the wire format of ``onnx.proto3`` itself (field numbers beside the code), so no graph is
ever built and no external file is touched.
"""

import dataclasses
import math
import re

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.json_config import check_string
from tasks.scanners.member_names import unsafe_name
from tasks.scanners.reading import View
from tasks.scanners.wire import BYTES, VARINT, BrokenMessage, Field, fields, packed

MOST_ELEMENTS = 1 << 40
MOST_NODES = 2_000_000
MOST_DEPTH = 16
_STANDARD = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.preview"}
)
_KNOWN = frozenset(
    {
        "com.microsoft",
        "com.microsoft.nchwc",
        "com.ms.internal.nhwc",
        "pkg.onnxscript.torch_lib",
        "pkg.onnxscript.torch_lib.common",
        "pkg.torch",
        "pkg.transformers",
    }
)
_CODE = re.compile(
    r"^(PyOp|PyCustomOp|PythonOp|PythonOpGrad|ATen|ATenOp|.*PyFunc.*|.*Python.*|ExternalStream|EPContext)$"
)
_TYPES = {
    1: 4,
    2: 1,
    3: 1,
    4: 2,
    5: 2,
    6: 4,
    7: 8,
    9: 1,
    10: 2,
    11: 8,
    12: 4,
    13: 8,
    14: 8,
    15: 16,
    16: 2,
    17: 1,
    18: 1,
    19: 1,
    20: 1,
}
_TOP = {
    1: VARINT,
    2: BYTES,
    3: BYTES,
    4: BYTES,
    5: VARINT,
    6: BYTES,
    7: BYTES,
    8: BYTES,
    14: BYTES,
    20: BYTES,
    25: BYTES,
    26: BYTES,
}
_FIRST = (
    b"\x08",
    b"\x12",
    b"\x1a",
    b"\x22",
    b"\x28",
    b"\x32",
    b"\x3a",
    b"\x42",
    b"\x72",
    b"\xa2",
    b"\xca",
)
_ACTIVE = ("<script", "javascript:", "<iframe", "onerror=", "onload=")


@dataclasses.dataclass
class _Walk:
    inspection: Inspection
    functions: set[tuple[str, str]]
    nodes: int = 0


def looks_like_onnx(view: View) -> bool:
    """Answers whether every top-level field is one of ModelProto, with a version and a graph."""
    if view.head(1) not in _FIRST:
        return False
    seen: set[int] = set()
    try:
        for field in fields(view, most=100_000):
            if _TOP.get(field.number, field.kind) != field.kind:
                return False
            if field.number == 1 and not 1 <= field.value <= 64:
                return False
            seen.add(field.number)
    except BrokenMessage:
        return (
            {1, 7} <= seen or {1, 2, 3} <= seen or (1 in seen and view.head(64).find(b"onnx") >= 0)
        )
    return 7 in seen and (1 in seen or 8 in seen)


def inspect_onnx(view: View, inspection: Inspection) -> str:
    """Reads the model, its functions and every subgraph."""
    walk = _Walk(inspection, set())
    try:
        top = list(fields(view, most=100_000))
        walk.functions = {_function_id(each) for each in top if each.number == 25}
        for field in top:
            if field.number not in _TOP:
                text = f"field {field.number} is no part of a model; readers step over it"
                inspection.note("onnx.unknown_field", Severity.MEDIUM, text)
                inspection.inside(field.payload, f"field {field.number}", around="bytes")
            _model_field(field, walk)
        for space, operator in sorted(walk.functions):
            if space in _STANDARD:
                text = (
                    f"a function of the model takes the place of the operator {space}::{operator}"
                )
                inspection.note("onnx.ambiguous", Severity.MEDIUM, text)
    except BrokenMessage as reason:
        inspection.note("onnx.malformed", Severity.MEDIUM, str(reason))
    return "onnx"


def _model_field(field: Field, walk: _Walk) -> None:
    if field.number == 7:
        _graph(field.payload, walk, 0)
    elif field.number == 14:
        _metadata(field.payload, walk)
    elif field.number == 6:
        _check_text("doc_string", field.text(1 << 16), walk)
    elif field.number == 25:
        for inner in fields(field.payload):
            if inner.number == 7:
                _node(inner.payload, walk, 0)
    elif field.number == 20:
        for inner in fields(field.payload):
            if inner.number in (1, 2):
                _graph(inner.payload, walk, 0)


def _function_id(field: Field) -> tuple[str, str]:
    names = {
        inner.number: inner.text() for inner in fields(field.payload) if inner.number in (1, 10)
    }
    return names.get(10, ""), names.get(1, "")


def _graph(view: View, walk: _Walk, depth: int) -> None:
    if depth > MOST_DEPTH:
        walk.inspection.note("onnx.nesting", Severity.MEDIUM, "graphs are nested too deep")
        return
    produced: dict[str, int] = {}
    needs: list[tuple[str, ...]] = []
    for field in fields(view):
        if field.number == 1:
            inputs, outputs = _node(field.payload, walk, depth)
            for name in outputs:
                if name in produced:
                    text = f"two nodes produce {name}"
                    walk.inspection.note("onnx.ambiguous", Severity.MEDIUM, text)
                produced[name] = len(needs)
            needs.append(inputs)
        elif field.number == 5:
            _tensor(field.payload, walk)
        elif field.number == 15:
            _sparse(field.payload, walk)
    if any(produced.get(name, -1) >= index for index, names in enumerate(needs) for name in names):
        text = "nodes use values that only later nodes produce: the graph has a cycle or no order"
        walk.inspection.note("onnx.cycle", Severity.MEDIUM, text)


def _sparse(view: View, walk: _Walk) -> None:
    for inner in fields(view):
        if inner.number in (1, 2):
            _tensor(inner.payload, walk)


def _node(view: View, walk: _Walk, depth: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    walk.nodes += 1
    if walk.nodes > MOST_NODES:
        raise BrokenMessage(f"more than {MOST_NODES} nodes")
    if not walk.nodes % 1024:
        walk.inspection.budget.check_clock()
    inputs, outputs, operator, domain = [], [], "", ""
    for field in fields(view):
        if field.number == 1:
            inputs.append(field.text(512))
        elif field.number == 2:
            outputs.append(field.text(512))
        elif field.number == 4:
            operator = field.text(256)
        elif field.number == 7:
            domain = field.text(256)
        elif field.number == 5:
            _attribute(field.payload, walk, depth)
    _operator(domain, operator, walk)
    return tuple(filter(None, inputs)), tuple(filter(None, outputs))


def _operator(domain: str, operator: str, walk: _Walk) -> None:
    if _CODE.match(operator) and (domain not in _STANDARD or operator.startswith("Py")):
        text = f"{domain}::{operator} runs code from outside the graph"
        walk.inspection.note("onnx.code_operator", Severity.HIGH, text)
    elif (
        domain not in _STANDARD
        and domain not in _KNOWN
        and (domain, operator) not in walk.functions
    ):
        text = f"{domain}::{operator} is no standard operator; opening it needs a vendor's library"
        walk.inspection.note("onnx.custom_operator", Severity.MEDIUM, text)


def _attribute(view: View, walk: _Walk, depth: int) -> None:
    for field in fields(view):
        if field.number in (5, 10):
            _tensor(field.payload, walk)
        elif field.number in (6, 11):
            _graph(field.payload, walk, depth + 1)
        elif field.number in (22, 23):
            _sparse(field.payload, walk)


def _tensor(view: View, walk: _Walk) -> None:
    """Field numbers of TensorProto: 1 dims, 2 type, 8 name, 9 raw bytes, 13 external data."""
    all_fields = list(fields(view))
    last = {field.number: field for field in all_fields}
    dims = [dim for field in all_fields if field.number == 1 for dim in packed(field)]
    name = last[8].text(256) if 8 in last else ""
    signed = [dim - (1 << 64) if dim >= 1 << 63 else dim for dim in dims]
    elements = math.prod(signed)
    width = _TYPES.get(last[2].value) if 2 in last else None
    if any(dim < 0 for dim in signed) or elements > MOST_ELEMENTS:
        text = f"{name} declares {'x'.join(map(str, signed[:8]))} elements"
        walk.inspection.note("onnx.dimensions", Severity.HIGH, text)
    elif 9 in last and width and last[9].payload.size != elements * width:
        text = f"{name} has {last[9].payload.size} bytes, its shape needs {elements * width}"
        walk.inspection.note("onnx.length", Severity.MEDIUM, text)
    if external := [field.payload for field in all_fields if field.number == 13]:
        _external(name, external, walk)


def _external(name: str, entries: list[View], walk: _Walk) -> None:
    external: dict[str, str] = {}
    for entry in entries:
        pair = {field.number: field.text() for field in fields(entry)}
        if pair.get(1, "") in external:
            text = f"{name}: {pair.get(1)} is given twice"
            walk.inspection.note("onnx.ambiguous", Severity.HIGH, text)
        external[pair.get(1, "")] = pair.get(2, "")
    location = external.get("location", "")
    reason = unsafe_name(location) or ("is empty" if not location else None)
    if reason or "://" in location:
        text = f"{name} is read from {location!r}, which {reason or 'is an address'}"
        walk.inspection.note("onnx.external_path", Severity.HIGH, text)
    for key in ("offset", "length"):
        if key in external and not re.fullmatch(r"\d{1,15}", external[key]):
            text = f"{name}: {key} {external[key][:30]!r} is no length"
            walk.inspection.note("onnx.external_path", Severity.HIGH, text)


def _metadata(view: View, walk: _Walk) -> None:
    pair = {field.number: field.text(1 << 16) for field in fields(view)}
    _check_text(f"metadata {pair.get(1, '')}", pair.get(2, ""), walk)


def _check_text(what: str, text: str, walk: _Walk) -> None:
    if any(sign in text.lower() for sign in _ACTIVE):
        walk.inspection.note("text.active_content", Severity.MEDIUM, f"{what} holds web content")
    check_string(text, what, walk.inspection)
