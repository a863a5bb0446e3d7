"""skops files: every type and function that ``schema.json`` names, against the allow-list.

skops trusts names, not code: a schema that names a function makes ``load`` call or return it.
Source: skops ``io/_sklearn.py``, ``io/_general.py`` (0.11 to 0.16).
"""

import re
from typing import Any

from tasks.domain.severity import Severity
from tasks.scanners.config_walk import BrokenJson, read_json, walk
from tasks.scanners.global_policy import ALLOWED, judge_global
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

_NAME = re.compile(r"^[A-Za-z_][\w.]*$")
_INDIRECT = frozenset({"FunctionNode", "PartialNode", "OperatorFuncNode", "MethodNode"})
_SAFE_OPERATORS = frozenset({"attrgetter", "itemgetter"})
_OWN = frozenset(
    {("skops.io._utils", "Loader"), ("skops.io._general", "JsonNode"), ("builtins", "type")}
)


def check_schema(view: View, inspection: Inspection) -> None:
    """Judges every ``__module__`` and ``__class__`` pair, and every function by name."""
    try:
        schema, doubled = read_json(view, inspection)
    except BrokenJson as reason:
        inspection.note("skops.malformed", Severity.MEDIUM, str(reason), "schema.json")
        return
    if doubled:
        text = f"keys are there twice: {', '.join(doubled)}"
        inspection.note("skops.ambiguous", Severity.HIGH, text, "schema.json")
    for path, node, _ in walk(schema):
        if isinstance(node, dict):
            _check_node(node, path, inspection)


def _check_node(node: dict[str, Any], path: str, inspection: Inspection) -> None:
    module, name = node.get("__module__"), node.get("__class__")
    if module is not None or name is not None:
        _judge(module, name, path, inspection)
    content = node.get("content")
    if isinstance(content, dict) and node.get("__loader__") in _INDIRECT:
        inner = content.get("module_path", content.get("__module__"))
        called = content.get("function", content.get("__class__"))
        if inner is not None:
            _judge(inner, called, path, inspection)
    if node.get("__loader__") == "OperatorFuncNode" and name not in _SAFE_OPERATORS:
        _note(
            "skops.function", Severity.HIGH, f"operator.{name} is called on load", path, inspection
        )


def _judge(module: Any, name: Any, path: str, inspection: Inspection) -> None:
    if not (isinstance(module, str) and isinstance(name, str)):
        _note("skops.malformed", Severity.MEDIUM, "a type has no name", path, inspection)
        return
    if (module, name) in _OWN or (module in ("operator", "_operator") and name in _SAFE_OPERATORS):
        return
    if not (_NAME.match(module) and _NAME.match(name)):
        _note("skops.malformed", Severity.HIGH, f"{module}.{name} is no name", path, inspection)
        return
    judgement = judge_global(module, name)
    if judgement.severity is not ALLOWED:
        rule = judgement.rule.replace("pickle.", "skops.")
        _note(rule, judgement.severity, f"{module}.{name}: {judgement.reason}", path, inspection)


def _note(rule: str, severity: Severity, text: str, path: str, inspection: Inspection) -> None:
    inspection.note(rule, severity, text, f"schema.json{path}")
