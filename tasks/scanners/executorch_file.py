"""ExecuTorch programs (``.pte``): operators, delegates, and each byte of the file accounted for.

Source: executorch ``schema/program.fbs`` (slot numbers in the code) and its extended header.
"""

import struct

from tasks.domain.severity import Severity
from tasks.scanners.flatbuffer import BrokenBuffer, Table
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

_KNOWN = frozenset((
    "aten", "prim", "prims", "executorch_prim", "quantized_decomposed", "quantized",
    "dim_order_ops", "et_vk", "torchao", "llama", "cadence", "cortex_m", "_portable", "torch",
    "edge",
))  # fmt: skip
_DELEGATES = frozenset((
    "XnnpackBackend", "CoreMLBackend", "MPSBackend", "VulkanBackend", "QnnBackend",
    "ArmBackend", "EthosUBackend", "NeuropilotBackend", "SamsungBackend", "OpenvinoBackend",
    "CudaBackend", "MetalBackend", "AoTInductorBackend",
))  # fmt: skip
_PROGRAMS_INSIDE = frozenset({"AoTInductorBackend", "CudaBackend", "MetalBackend"})
_REACHING = frozenset({"from_file", "save", "load"})
_HEADER = struct.Struct("<4sLQQ")
MOST_PADDING = 4096


def looks_like_executorch(view: View) -> bool:
    """Answers whether the file identifier ``ET..`` is there."""
    head = view.head(8)
    return head[4:6] == b"ET" and head[6:8].isdigit()


def inspect_executorch(view: View, inspection: Inspection) -> str:
    """Walks the program, then everything behind it."""
    try:
        _program(Table.root(view), inspection)
        _extent(view, inspection)
    except BrokenBuffer as reason:
        inspection.note("executorch.malformed", Severity.MEDIUM, str(reason))
    return "executorch"


def _program(program: Table, inspection: Inspection) -> None:
    """Program: 1 execution_plan, 2 constant_buffer, 3 backend_delegate_data."""
    plans = 0
    for plan in program.tables(1):
        plans += 1
        for operator in plan.tables(6):  # ExecutionPlan.operators: 0 name, 1 overload
            _operator(operator.text(0), inspection)
        for delegate in plan.tables(7):  # ExecutionPlan.delegates: 0 id
            _delegate(delegate.text(0), inspection)
    if not plans:
        inspection.note("executorch.malformed", Severity.MEDIUM, "the program has no method")
    for index, buffer in enumerate(program.tables(3)):
        content = buffer.data(0)
        if content is not None and content.size:
            inspection.inside(content, f"delegate data {index}", around="bytes")


def _operator(name: str, inspection: Inspection) -> None:
    space, _, bare = name.rpartition("::")
    if bare.partition(".")[0] in _REACHING:
        text = f"calls {name}, which reads or writes files"
        inspection.note("executorch.file_access", Severity.HIGH, text)
    elif space not in _KNOWN:
        text = f"calls {name}, an operator that needs a vendor's library"
        inspection.note("executorch.custom_operator", Severity.MEDIUM, text)


def _delegate(name: str, inspection: Inspection) -> None:
    if name in _PROGRAMS_INSIDE:
        text = f"the delegate {name} loads a compiled library out of the file"
        inspection.note("executorch.compiled_delegate", Severity.HIGH, text)
    elif name not in _DELEGATES:
        text = f"the delegate {name!r} needs a vendor's library"
        inspection.note("executorch.custom_delegate", Severity.MEDIUM, text)


def _extent(view: View, inspection: Inspection) -> None:
    """The extended header says how long the program is and where its segments begin."""
    magic, size, program, segments = _HEADER.unpack(view.read(8, _HEADER.size).ljust(24, b"\0"))
    if magic[:2] != b"eh" or size < _HEADER.size:
        return
    table = Table.root(view)
    ends = [program]
    for segment in table.tables(4):  # Program.segments: 0 offset, 1 size
        start, length = segment.number(0, 8), segment.number(1, 8)
        end = segments + start + length
        if end > view.size:
            raise BrokenBuffer(f"a segment of {length} bytes is declared at {segments + start}")
        ends.append(end)
        inspection.inside(
            view.part(segments + start, length), f"segment@{segments + start}", around="storage"
        )
    if program > view.size:
        raise BrokenBuffer(f"a program of {program} bytes is declared, {view.size} are there")
    rest = view.part(max(ends))
    if rest.size > MOST_PADDING or rest.read(0, MOST_PADDING).strip(b"\0"):
        text = f"{rest.size} bytes follow the program"
        inspection.note("file.trailing_bytes", Severity.MEDIUM, text, max(ends))
        inspection.inside(rest, "trailing bytes", around="bytes")
