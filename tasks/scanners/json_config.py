"""JSON configurations: code that a loader would fetch, templates that reach out, hidden models."""

import base64
import re
from typing import Any

from tasks.domain.severity import Severity
from tasks.scanners import keras_model
from tasks.scanners.config_references import check_references
from tasks.scanners.config_walk import MOST_DEPTH, walk
from tasks.scanners.inspection import Inspection
from tasks.scanners.jinja_template import check_template
from tasks.scanners.reading import View

_SHELL = re.compile(r"\b(?:curl|wget)\s+[^|]{0,200}\|\s*(?:ba)?sh\b|/dev/tcp/|\brm\s+-rf\s+/")
_ENCODED_PICKLE = re.compile(r"gA[I-X][A-Za-z0-9+/]{5}")
MOST_ENCODED = 64 << 20


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
            check_references(node, path, inspection)
        elif isinstance(node, str):
            check_string(node, path, inspection)
    if deepest > MOST_DEPTH:
        inspection.note("json.nesting", Severity.MEDIUM, f"objects are nested {deepest} deep")


def check_string(text: str, path: str, inspection: Inspection) -> None:
    """A template that reaches out, a shell line that fetches and runs, or a pickle as text."""
    check_template(text, path, inspection)
    if found := _SHELL.search(text):
        inspection.note("text.shell_line", Severity.MEDIUM, f"holds {found.group()[:60]}", path)
    if _ENCODED_PICKLE.match(text) and len(text) <= MOST_ENCODED:
        _check_encoded(text, path, inspection)


def _check_encoded(text: str, path: str, inspection: Inspection) -> None:
    """Some loaders keep objects in their settings as base64 of a pickle."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return
    inspection.inside(View.of_bytes(data), f"base64{path}"[:200], around="bytes")
