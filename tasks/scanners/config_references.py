"""Keys of JSON configurations that make a loader import code or read another file.

Sources: transformers ``dynamic_module_utils.py``, PEFT ``auto.py``, sentence-transformers
``modules.json``, diffusers ``model_index.json``, safetensors and PyTorch weight indices, hydra.
"""

import re
from typing import Any

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.member_names import unsafe_name

_CODE_KEYS = frozenset(
    {
        "auto_map",
        "custom_pipelines",
        "custom_pipeline",
        "custom_code",
        "code_revision",
        "custom_generate",
    }
)
_TAGS = frozenset({"py/object", "py/reduce", "py/function", "py/type", "py/repr", "py/module"})
_FAMILIES = ("transformers", "diffusers", "sentence_transformers", "peft", "torch.nn")
_DOTTED = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
_PIPELINE_PARTS = frozenset(
    {
        "diffusers",
        "transformers",
        "stable_diffusion",
        "onnxruntime",
        "flax",
        "peft",
        "sentencepiece",
    }
)


def check_references(node: dict[str, Any], path: str, inspection: Inspection) -> None:
    """Judges one object of a configuration."""
    for key in sorted(_CODE_KEYS & node.keys()):
        if node[key]:
            text = f"{key} makes a loader import code from the bundle or from a remote repository"
            inspection.note("config.remote_code", Severity.HIGH, text, f"{path}.{key}")
    if node.get("trust_remote_code") not in (None, False):
        text = "trust_remote_code is switched on"
        inspection.note("config.remote_code", Severity.HIGH, text, path)
    if _TAGS & node.keys():
        text = "jsonpickle tags build objects on load"
        inspection.note("json.object_tag", Severity.HIGH, text, path)
    if isinstance(node.get("_target_"), str):
        text = f"hydra would call {node['_target_']}"
        inspection.note("config.call_target", Severity.MEDIUM, text, f"{path}._target_")
    _check_imports(node, path, inspection)
    _check_files(node, path, inspection)


def _check_imports(node: dict[str, Any], path: str, inspection: Inspection) -> None:
    mapping = node.get("auto_mapping")
    if isinstance(mapping, dict) and not _is_known(mapping.get("parent_library")):
        text = f"auto_mapping imports {mapping.get('parent_library')!r}"
        inspection.note("config.foreign_import", Severity.HIGH, text, f"{path}.auto_mapping")
    kind = node.get("type")
    if {"idx", "path"} <= node.keys() and isinstance(kind, str) and not _is_known(kind):
        text = f"the module {kind!r} is imported when the pipeline is opened"
        inspection.note("config.foreign_import", Severity.HIGH, text, f"{path}.type")
    if "_class_name" not in node:
        return
    for key, part in node.items():
        if not (isinstance(part, list) and len(part) == 2 and isinstance(part[0], str)):
            continue
        if isinstance(part[1], str) and part[0] not in _PIPELINE_PARTS:
            text = (
                f"{key} is {part[0]}.{part[1]}, which is imported from outside the known libraries"
            )
            inspection.note("config.foreign_import", Severity.HIGH, text, f"{path}.{key}")


def _is_known(name: Any) -> bool:
    return isinstance(name, str) and any(
        name == family or name.startswith(family + ".") for family in _FAMILIES
    )


def _check_files(node: dict[str, Any], path: str, inspection: Inspection) -> None:
    index = node.get("weight_map")
    if not isinstance(index, dict):
        return
    for key, name in index.items():
        reason = unsafe_name(name) if isinstance(name, str) else "is no file name"
        if reason or "://" in str(name):
            text = (
                f"weight_map sends {key} to {str(name)[:100]!r}, which {reason or 'is an address'}"
            )
            inspection.note("config.outside_file", Severity.HIGH, text, f"{path}.weight_map")
            return
