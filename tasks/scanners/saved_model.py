"""TensorFlow SavedModel protocol buffers: operators that read, write or run Python.

Only operator names are searched, so a file without hits is still not assessed.
Source: tensorflow ``node_def.proto`` (field 2 is the operator).
"""

import re

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View
from tasks.scanners.wire import BYTES, VARINT, BrokenMessage, fields

_REACHING = (
    b"ReadFile",
    b"WriteFile",
    b"PyFunc",
    b"EagerPyFunc",
    b"PyFuncStateless",
    b"MatchingFiles",
    b"DebugIdentity",
    b"PrintV2",
    b"Save",
    b"ShardedFilename",
    b"TextLineReader",
    b"WholeFileReader",
    b"LoadLibrary",
    b"XlaLaunch",
    b"ImportEvent",
    b"DatasetFromGraph",
    b"SqlDataset",
    b"TFRecordDataset",
    b"TextLineDataset",
    b"RpcCall",
)
_HARMLESS = frozenset({b"Save", b"ShardedFilename", b"PrintV2"})  # every honest SavedModel has them
_PATTERN = re.compile(
    b"|".join(rb"\x12" + bytes([len(name)]) + re.escape(name) for name in _REACHING)
)


def looks_like_saved_model(view: View) -> bool:
    """Answers whether this is schema version 1 with meta graphs, or a frozen graph of nodes."""
    try:
        first = next(iter(fields(view, most=2)), None)
        if first is None or (first.number, first.kind) == (2, BYTES):
            return False
        if (first.number, first.kind, first.value) == (1, VARINT, 1):
            return all(
                (f.number, f.kind) in ((1, VARINT), (2, BYTES)) for f in fields(view, most=1000)
            )
        if (first.number, first.kind) == (1, BYTES):
            inner = {f.number: f for f in fields(first.payload, most=64)}
            return {1, 2} <= inner.keys() and bool(
                re.fullmatch(r"[A-Z]\w{2,60}", inner[2].text(80))
            )
    except BrokenMessage:
        return False
    return False


def inspect_saved_model(view: View, inspection: Inspection) -> str:
    """Notes each reaching operator once."""
    step = 16 << 20
    for start in range(0, view.size, step):
        inspection.budget.check_clock()
        for found in _PATTERN.finditer(view.read(start, step + 64)):
            name = found.group()[2:]
            if name not in _HARMLESS:
                text = f"the graph calls {name.decode()}, which reaches files or runs Python"
                inspection.note(
                    "tensorflow.reaching_operator", Severity.HIGH, text, start + found.start()
                )
    inspection.note(
        "format.not_assessed", Severity.LOW, "SavedModel graphs are searched, not walked"
    )
    return "saved_model"
