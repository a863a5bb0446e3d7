"""Members of torch archives: raw storages, TorchScript code, and where each name is legal."""

import re

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

FLAVOURS = ("torch", "torchscript", "torch_export")
MOST_CODE_BYTES = 64 << 20

_TENSOR = re.compile(
    r"^[^/]+/(data|constants|traced_inputs|tensors)/(\d+|weights/weight_\d+|constants/tensor_\d+)$"
)
_OPERATOR = re.compile(r"\bops\.([A-Za-z_]\w*)\.([A-Za-z_]\w*)")
_CALL = re.compile(r"\btorch\.([A-Za-z_]\w*)\(")
_BUILT_IN = frozenset(
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
_REACHING = frozenset(
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
    head = view.head(8)
    if head.startswith((b"\x7fELF", b"PK\x03\x04")):
        inspection.inside(view, name, around="bytes")
        text = f"{name} holds a program or an archive instead of numbers"
        inspection.note("torch.hidden_content", Severity.HIGH, text)
    elif head[:1] == b"\x80" and head[1:2] in b"\x00\x01\x02\x03\x04\x05" and len(head) > 2:
        inspection.inside(view, name, around="storage")


def check_code(view: View, name: str, inspection: Inspection) -> None:
    """TorchScript source runs in torch's interpreter: which operators does it reach for?"""
    text = view.read(0, MOST_CODE_BYTES).decode("utf-8", "replace")
    for space, operator in sorted(set(_OPERATOR.findall(text))):
        if operator in _REACHING:
            _reaches(f"{space}::{operator}", name, inspection)
        elif space not in _BUILT_IN:
            detail = f"calls {space}::{operator}, an operator that is not part of torch"
            inspection.note("torchscript.custom_operator", Severity.MEDIUM, detail, name)
    for operator in sorted(set(_CALL.findall(text)) & _REACHING):
        _reaches(f"torch.{operator}", name, inspection)


def _reaches(what: str, name: str, inspection: Inspection) -> None:
    detail = f"calls {what}, which reads or writes files"
    inspection.note("torchscript.file_access", Severity.HIGH, detail, name)
