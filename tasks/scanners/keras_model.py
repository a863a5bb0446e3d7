"""Keras configurations: Lambda layers, foreign modules and function references at any depth.

Source: Keras 3 ``saving/serialization_lib.py``: ``module`` and ``class_name`` are imported,
``registered_name`` is looked up, ``__lambda__`` holds marshalled byte code.
"""

import json
import re
from typing import Any

from tasks.domain.severity import Severity
from tasks.scanners.config_walk import BrokenJson, read_json, walk
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View

_MODULES = (
    "keras.layers",
    "keras.models",
    "keras.initializers",
    "keras.optimizers",
    "keras.losses",
    "keras.metrics",
    "keras.regularizers",
    "keras.constraints",
    "keras.activations",
    "keras.dtype_policies",
    "keras.src.layers",
    "keras.src.models",
    "keras.src.initializers",
    "keras.src.optimizers",
    "keras.src.losses",
    "keras.src.metrics",
    "keras.src.regularizers",
    "keras.src.constraints",
    "keras.src.activations",
    "keras.src.dtype_policies",
    "keras.src.engine",
    "keras.engine",
    "keras",
    "keras.random",
    "keras.src.random",
    "keras.backend",
    "keras.Sequential",
)
_FUNCTIONS = re.compile(r"\.(?:activations|losses|metrics|initializers|regularizers|constraints)\b")
_PLAIN = frozenset({"function", "fn", "builtin_function"})
_CODE = frozenset(
    {"Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda", "PyFunc", "PyFuncStateless"}
)
_INNER_CODE = frozenset({"TFOpLambda", "SlicingOpLambda"})
_REACHING = (
    "get_file",
    "load_model",
    "load_weights",
    "eval",
    "exec",
    "import_module",
    "system",
    "popen",
    "subprocess",
    "urlretrieve",
    "TFSMLayer",
    "TorchModuleWrapper",
    "JaxLayer",
    "FlaxLayer",
    "clone_model",
    "model_from_json",
    "model_from_yaml",
    "deserialize_keras_object",
    "enable_unsafe_deserialization",
    "get_source_inputs",
    "run_eagerly",
    "py_function",
    "numpy_function",
)


def check_config(view: View, inspection: Inspection) -> None:
    """Reads a ``config.json`` and walks it."""
    try:
        config, doubled = read_json(view, inspection)
    except BrokenJson as reason:
        inspection.note("keras.malformed", Severity.MEDIUM, str(reason), "config.json")
        return
    if doubled:
        text = f"keys are there twice: {', '.join(doubled)}"
        inspection.note("keras.ambiguous", Severity.HIGH, text, "config.json")
    walk_config(config, inspection, "config.json")


def is_keras_config(value: Any) -> bool:
    """Answers whether a JSON value is what ``model.to_json`` writes."""
    return isinstance(value, dict) and "class_name" in value and "config" in value


def walk_config(config: Any, inspection: Inspection, place: str) -> None:
    """Judges every node; strings that hold JSON themselves are walked too."""
    for path, node, _ in walk(config):
        if isinstance(node, dict):
            _check_node(node, f"{place}{path}", inspection)
        elif isinstance(node, str) and '"class_name"' in node:
            try:
                inner = json.loads(node)
            except (ValueError, RecursionError):
                continue
            if isinstance(inner, dict):
                walk_config(inner, inspection, f"{place}{path}")


def _check_node(node: dict[str, Any], path: str, inspection: Inspection) -> None:
    module, name = node.get("module"), node.get("class_name")
    if isinstance(name, str):
        _check_class(name, path, inspection)
    if isinstance(module, str) and ("class_name" in node or "fn_name" in node):
        _check_module(module, str(name), path, inspection)
    _check_vocabulary(node, path, inspection)
    registered = node.get("registered_name")
    if isinstance(registered, str) and ">" in registered and not registered.startswith("keras"):
        text = f"{registered} is looked up among functions that the loading program registered"
        inspection.note("keras.registered_function", Severity.MEDIUM, text, path)
    if name in ("function", "fn", "builtin_function") or node.get("class_name") == "__lambda__":
        _check_function(node, path, inspection)
    if node.get("function_type") == "lambda" or node.get("module_objects"):
        inspection.note("keras.code", Severity.CRITICAL, "holds marshalled byte code", path)


def _check_vocabulary(node: dict[str, Any], path: str, inspection: Inspection) -> None:
    """Lookup layers read a vocabulary given as text from that file or address when they open."""
    config = node.get("config")
    if not isinstance(config, dict):
        return
    for key in ("vocabulary", "idf_weights", "file_path", "filepath"):
        value = config.get(key)
        if isinstance(value, str) and value:
            text = f"{node.get('class_name')} reads {key} from {value[:100]!r} when it is opened"
            inspection.note("keras.outside_file", Severity.HIGH, text, path)


def _check_class(name: str, path: str, inspection: Inspection) -> None:
    last = name.rpartition(">")[2].rpartition(".")[2]
    if last in _CODE:
        severity = Severity.MEDIUM if last in _INNER_CODE else Severity.CRITICAL
        text = f"{name} runs code of its own when the model is loaded or called"
        inspection.note("keras.code", severity, text, path)
    elif last in _REACHING:
        text = f"{name} reaches for files, code or another framework"
        inspection.note("keras.reaching_class", Severity.HIGH, text, path)
    elif ">" in name and not name.startswith("keras"):
        inspection.note(
            "keras.registered_function", Severity.MEDIUM, f"{name} is not of Keras", path
        )


def _check_module(module: str, name: str, path: str, inspection: Inspection) -> None:
    if name in _REACHING:
        inspection.note("keras.reaching_class", Severity.HIGH, f"{module}.{name}", path)
    if any(
        module == known or module.startswith(known + ".") for known in _MODULES if known != "keras"
    ):
        if name[:1].islower() and not _FUNCTIONS.search(module) and name not in _PLAIN:
            text = f"refers to {module}.{name}, which is no layer"
            inspection.note("keras.function", Severity.HIGH, text, path)
        return
    if module in ("keras", "builtins") and name not in _REACHING:
        if module == "builtins" and name not in ("function", "tuple", "list", "dict", "NoneType"):
            text = f"imports builtins.{name}"
            inspection.note("keras.foreign_module", Severity.HIGH, text, path)
        return
    severity = Severity.MEDIUM if module.partition(".")[0] == "keras" else Severity.HIGH
    inspection.note("keras.foreign_module", severity, f"imports {module}.{name}", path)


def _check_function(node: dict[str, Any], path: str, inspection: Inspection) -> None:
    config = node.get("config")
    called = config if isinstance(config, str) else "a function"
    severity = Severity.HIGH if called in _REACHING else Severity.MEDIUM
    module = node.get("module")
    inspection.note("keras.function", severity, f"refers to the function {module}.{called}", path)
