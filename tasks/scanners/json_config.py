"""JSON configurations: code that a loader would fetch, templates that reach out, hidden models."""

import re
from typing import Any

from tasks.domain.severity import Severity
from tasks.scanners import keras_model
from tasks.scanners.config_walk import MOST_DEPTH, walk
from tasks.scanners.inspection import Inspection

_CODE_KEYS = frozenset({"auto_map", "custom_pipelines", "custom_code", "code_revision"})
TEMPLATE_REACH = re.compile(
    r"__(?:class|globals|builtins|subclasses|mro|base|bases|init|import|getattribute|code|dict|reduce)__|"
    r"\b(?:cycler|joiner|lipsum|namespace|get_flashed_messages|url_for|self)\s*\.\s*__|\|\s*attr\s*\(|"
    r"\b(?:os|subprocess|sys|builtins)\s*\.\s*\w+\s*\(|\b(?:popen|eval|exec|import_module)\s*\(|"
    r"\\x5f\\x5f|getattr\s*\(|request\s*\.\s*(?:application|args)|_TemplateReference__context|\bmro\s*\(",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"\{[{%]")
_SHELL = re.compile(r"\b(?:curl|wget)\s+[^|]{0,200}\|\s*(?:ba)?sh\b|/dev/tcp/|\brm\s+-rf\s+/")


def inspect_config(value: Any, doubled: tuple[str, ...], inspection: Inspection) -> None:
    """Walks the whole value, whatever the file is called."""
    if doubled:
        text = f"keys are there twice: {', '.join(doubled)}"
        inspection.note("json.duplicate_key", Severity.MEDIUM, text)
    if keras_model.is_keras_config(value):
        keras_model.walk_config(value, inspection, inspection.name)
    deepest = 0
    for path, node, depth in walk(value):
        deepest = max(deepest, depth)
        if isinstance(node, dict):
            _check_keys(node, path, inspection)
        elif isinstance(node, str):
            check_string(node, path, inspection)
    if deepest > MOST_DEPTH:
        inspection.note("json.nesting", Severity.MEDIUM, f"objects are nested {deepest} deep")


def check_string(text: str, path: str, inspection: Inspection) -> None:
    """A template that leaves its sandbox, or a shell line that fetches and runs."""
    check_template(text, path, inspection)
    if found := _SHELL.search(text):
        inspection.note("text.shell_line", Severity.MEDIUM, f"holds {found.group()[:60]}", path)


def check_template(text: str, path: str, inspection: Inspection) -> None:
    """Jinja text that reaches for Python's insides."""
    if _TEMPLATE.search(text) and (found := TEMPLATE_REACH.search(text)):
        detail = f"the template reaches for {found.group()[:40]}"
        inspection.note("template.injection", Severity.HIGH, detail, path)


def _check_keys(node: dict[str, Any], path: str, inspection: Inspection) -> None:
    for key in _CODE_KEYS & node.keys():
        if node[key]:
            text = f"{key} makes a loader import code from the bundle or from a remote repository"
            inspection.note("config.remote_code", Severity.HIGH, text, f"{path}.{key}")
    if node.get("trust_remote_code") not in (None, False):
        text = "trust_remote_code is switched on"
        inspection.note("config.remote_code", Severity.HIGH, text, path)
    if {"py/object", "py/reduce", "py/function", "py/type", "py/repr"} & node.keys():
        text = "jsonpickle tags build objects on load"
        inspection.note("json.object_tag", Severity.HIGH, text, path)
    target = node.get("_target_")
    if isinstance(target, str):
        text = f"hydra would call {target}"
        inspection.note("config.call_target", Severity.MEDIUM, text, f"{path}._target_")
