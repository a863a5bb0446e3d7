"""Serialised ``torch.export`` programs: what each node of the graph would call.

The loader turns a target into an attribute walk that starts at ``torch``, ``operator`` or ``math``
(torch ``_export/serde/serialize.py``, ``deserialize_operator``), so only operators may be named.
"""

import re

from tasks.domain.severity import Severity
from tasks.scanners.config_walk import BrokenJson, read_json, walk
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View
from tasks.scanners.torch_archive import BUILT_IN, REACHING

_OPERATOR = re.compile(r"^torch\.ops\.([A-Za-z_]\w*)\.([A-Za-z_]\w*)(?:\.[A-Za-z_]\w*)?$")
_SYMBOLIC = re.compile(r"^torch\.(?:_?sym_\w+|_check\w*|_C\._\w+grad_enabled)$")
_ARITHMETIC = frozenset((
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "pos", "abs", "eq", "ne",
    "lt", "le", "gt", "ge", "and_", "or_", "xor", "not_", "getitem", "invert", "lshift",
    "rshift",
))  # fmt: skip
_PLACES = ("torch", "_operator", "operator", "math")


def check_targets(view: View, name: str, inspection: Inspection) -> None:
    """Judges every ``target`` of a JSON member that starts at an importable place."""
    try:
        program, _ = read_json(view, inspection)
    except BrokenJson as reason:
        inspection.note("torch_export.malformed", Severity.MEDIUM, str(reason), name)
        return
    seen: set[str] = set()
    for _, node, _ in walk(program):
        target = node.get("target") if isinstance(node, dict) else None
        if isinstance(target, str) and target.partition(".")[0] in _PLACES and "." in target:
            seen.add(target)
    for target in sorted(seen):
        _judge(target, name, inspection)


def _judge(target: str, name: str, inspection: Inspection) -> None:
    place, _, bare = target.partition(".")
    found = _OPERATOR.match(target)
    if found and found.group(2) in REACHING:
        text = f"calls {target}, which reads or writes files"
        inspection.note("torchscript.file_access", Severity.HIGH, text, name)
    elif found and found.group(1) not in BUILT_IN | {"higher_order", "export", "torch_attn"}:
        text = f"calls {target}, an operator that is not part of torch"
        inspection.note("torchscript.custom_operator", Severity.MEDIUM, text, name)
    elif not found and not (
        _SYMBOLIC.match(target)
        or (place in ("_operator", "operator") and bare in _ARITHMETIC)
        or (place == "math" and bare.isidentifier())
    ):
        text = f"a node would call {target}, which is no operator"
        inspection.note("torch_export.foreign_target", Severity.CRITICAL, text, name)
