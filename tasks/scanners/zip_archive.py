"""What a zip is for (torch, TorchScript, skops, Keras, NumPy …), and every member of it read."""

import re

from tasks.domain.severity import Severity
from tasks.scanners import exported_program, keras_model, skops_file, torch_archive
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View
from tasks.scanners.zip_container import BrokenZip, Directory, Member, member_view, read_directory

_SIGNS = (
    ("torchscript", re.compile(r"^[^/]+/code/")),
    ("torch_export", re.compile(r"^([^/]+/)?(archive_format|serialized_exported_program\.json)$")),
    ("torch", re.compile(r"^[^/]*/?data\.pkl$")),
    ("skops", re.compile(r"^schema\.json$")),
)


def inspect_zip(view: View, inspection: Inspection) -> str:
    """Reads the directory strictly, then every member by the rules of what the zip is."""
    try:
        directory = read_directory(view, inspection)
    except BrokenZip as reason:
        inspection.note("zip.malformed", Severity.HIGH, str(reason))
        return "zip"
    flavour = _flavour(directory)
    if not directory.members:
        inspection.note("zip.empty", Severity.MEDIUM, "the zip has no members")
    for member in directory.members:
        if not member.is_folder and member.packed + member.size:
            _read_member(view, member, flavour, inspection)
    return flavour


def _read_member(view: View, member: Member, flavour: str, inspection: Inspection) -> None:
    numbers = flavour in torch_archive.FLAVOURS and torch_archive.is_tensor(member.name)
    content = member_view(view, member, inspection, numbers=numbers)
    if content is None:
        return
    if numbers:
        torch_archive.check_tensor(content, member.name, inspection)
        return
    around = torch_archive.around(flavour, member.name)
    inspection.inside(content, member.name, around=around)
    if flavour == "skops" and member.name == "schema.json":
        skops_file.check_schema(content, inspection)
    elif flavour == "keras" and member.name == "config.json":
        keras_model.check_config(content, inspection)
    elif around == "torchscript" and member.name.endswith(".py"):
        torch_archive.check_code(content, member.name, inspection)
    elif around == "torchscript" and member.name.endswith("bytecode.pkl"):
        torch_archive.check_bytecode(content, member.name, inspection)
    elif flavour == "torch_export" and member.name.endswith(".json"):
        exported_program.check_targets(content, member.name, inspection)


def _flavour(directory: Directory) -> str:
    names = [member.name for member in directory.members]
    for flavour, pattern in _SIGNS:
        if any(pattern.match(name) for name in names):
            return flavour
    if "config.json" in names and any(name.endswith(".weights.h5") for name in names):
        return "keras"
    return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"
