"""Members of torch archives: raw storages, TorchScript code, and where each name is legal."""

import pickletools
import re

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

FLAVOURS = ("torch", "torchscript", "torch_export")
MOST_CODE_BYTES = 64 << 20
MOST_BYTECODE = 64 << 20

_TENSOR = re.compile(
    r"^[^/]+/(data|constants|traced_inputs|tensors)/(\d+|weights/weight_\d+|constants/tensor_\d+)$"
)
_FOREIGN = (b"\x7fELF", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ\x00")
_PROTOCOLS = (b"\x00", b"\x01", b"\x02", b"\x03", b"\x04", b"\x05")
_OLD = re.compile(rb"\(?[ci][A-Za-z_][\w.]*\n[A-Za-z_][\w.]*\n")
_OPERATOR = re.compile(r"\bops\.([A-Za-z_]\w*)\.([A-Za-z_]\w*)")
_CLASS = re.compile(r"\btorch\.classes\.([A-Za-z_]\w*)")
_CALL = re.compile(r"\btorch\.([A-Za-z_]\w*)")
_NAMED = re.compile(r"([A-Za-z_]\w*)::([A-Za-z_]\w*)")
BUILT_IN = frozenset(
    [
        "prim",
        "prims",
        "aten",
        "quantized",
        "quantized_decomposed",
        "torchvision",
        "torchaudio",
        "inductor",
        "onnx",
        "mkldnn",
        "mkldnn_prepacked",
        "xnnpack",
        "sparse",
        "static_runtime",
        "image",
        "profiler",
    ]
)
REACHING = frozenset(
    ["from_file", "save", "load", "compile", "hub", "_load_from_bytes", "fopen", "get_file"]
)


def is_tensor(name: str) -> bool:
    """Answers whether a member of this name holds raw numbers."""
    return _TENSOR.match(name) is not None


def around(flavour: str, name: str) -> str:
    """Returns what a member may take for granted: types of ``code/``, storages by reference."""
    if flavour == "torchscript":
        return "torchscript"
    return "torch" if flavour in FLAVOURS or name.endswith("data.pkl") else flavour


def check_tensor(view: View, name: str, inspection: Inspection) -> None:
    """Numbers may look like anything; only a program or archive at their start is suspicious."""
    head = view.head(64)
    if head.startswith(_FOREIGN):
        inspection.inside(view, name, around="bytes")
        text = f"{name} holds a program or an archive instead of numbers"
        inspection.note("torch.hidden_content", Severity.HIGH, text)
    elif (head[:1] == b"\x80" and head[1:2] in _PROTOCOLS and len(head) > 2) or _OLD.match(head):
        inspection.inside(view, name, around="storage")


def check_code(view: View, name: str, inspection: Inspection) -> None:
    """TorchScript source runs in torch's interpreter: which operators does it reach for?"""
    text = _bare(view.read(0, MOST_CODE_BYTES).decode("utf-8", "replace"))
    for space, operator in sorted(set(_OPERATOR.findall(text))):
        _judge(space, operator, name, inspection)
    for space in sorted(set(_CLASS.findall(text)) - BUILT_IN):
        detail = f"uses classes of torch.classes.{space}, which is not part of torch"
        inspection.note("torchscript.custom_operator", Severity.MEDIUM, detail, name)
    for operator in sorted(set(_CALL.findall(text)) & REACHING):
        _reaches(f"torch.{operator}", name, inspection)


def check_bytecode(view: View, name: str, inspection: Inspection) -> None:
    """The mobile form of TorchScript names its operators as texts in a pickle."""
    found: set[tuple[str, str]] = set()
    try:
        for index, (_, text, _) in enumerate(pickletools.genops(view.read(0, MOST_BYTECODE))):
            if not index % 4096:
                inspection.budget.check_clock()
            if isinstance(text, str) and (named := _NAMED.fullmatch(text)):
                found.add((named.group(1), named.group(2)))
    except ValueError:
        inspection.note("pickle.malformed", Severity.MEDIUM, f"{name} cannot be followed", name)
    for space, operator in sorted(found):
        _judge(space, operator, name, inspection)


def _judge(space: str, operator: str, name: str, inspection: Inspection) -> None:
    if operator in REACHING:
        _reaches(f"{space}::{operator}", name, inspection)
    elif space not in BUILT_IN:
        detail = f"calls {space}::{operator}, an operator that is not part of torch"
        inspection.note("torchscript.custom_operator", Severity.MEDIUM, detail, name)


def _bare(source: str) -> str:
    """Drops comments and the space around dots, so that ``torch . x`` is ``torch.x``."""
    source = re.sub(r"#[^\n]*", "", source)
    return re.sub(r"[\s\\]*\.[\s\\]*", ".", source)


def _reaches(what: str, name: str, inspection: Inspection) -> None:
    detail = f"calls {what}, which reads or writes files"
    inspection.note("torchscript.file_access", Severity.HIGH, detail, name)
