"""Which formats these bytes could be read as: by content, every plausible reading, never by name."""

import re
from collections.abc import Callable
from typing import NamedTuple

from tasks.domain.severity import Severity
from tasks.scanners import (
    compressed,
    pickle_opcodes,
    text_file,
    zip_archive,
    zip_container,
)
from tasks.scanners.inspection import Inspection, Notes
from tasks.scanners.reading import View


class Format(NamedTuple):
    """One kind of file: how it is recognised, and how it is read."""

    name: str
    recognised: Callable[[View], bool]
    inspect: Callable[[View, Inspection], str]


FORMATS: tuple[Format, ...] = (
    Format("zip", zip_container.looks_like_zip, zip_archive.inspect_zip),
    Format("compressed", lambda v: compressed.codec_of(v) is not None, compressed.inspect_compressed),
    Format("opaque", lambda v: compressed.opaque_of(v) is not None, compressed.inspect_opaque),
)
_JOBLIB = re.compile(r"\.(joblib|jbl)(\.\w+)?$", re.IGNORECASE)


def read_all(view: View, inspection: Inspection) -> str:
    """Reads ``view`` in every plausible way, writes findings, and returns its main format."""
    if not view.size:
        inspection.note("file.empty", Severity.MEDIUM, "the file has no bytes")
        return "empty"
    names = [each.inspect(view, inspection) for each in FORMATS if each.recognised(view)]
    if _pickle(view, inspection):
        names.append("joblib" if _JOBLIB.search(inspection.name) else "pickle")
    if len(names) > 1:
        text = f"the same bytes can be read as {' and as '.join(names)}"
        inspection.note("format.polyglot", Severity.HIGH, text)
    if names:
        return names[0]
    if inspection.around not in ("bytes", "storage") and text_file.looks_like_text(view):
        return text_file.inspect_text(view, inspection)
    if inspection.around not in ("bytes", "storage"):
        text = "this format is not known, so nothing was assessed"
        inspection.note("format.unknown", Severity.LOW, text)
    return "unknown"


def _pickle(view: View, inspection: Inspection) -> bool:
    """A pickle has no magic: follow it with notes of its own, keep them when it makes sense."""
    trial = Notes()
    private = _with_notes(inspection, trial)
    if not pickle_opcodes.inspect_pickle(view, private):
        return False
    severe = any(each.severity.rank >= Severity.HIGH.rank for each in trial.found.values())
    if inspection.around in ("bytes", "storage") and not severe and "malformed" in str(trial.found):
        return False  # numbers that happen to begin like a pickle
    for observation in trial.found.values():
        inspection.notes.add(observation)
    return True


def _with_notes(inspection: Inspection, notes: Notes) -> Inspection:
    return Inspection(
        name=inspection.name,
        place=inspection.place,
        budget=inspection.budget,
        notes=notes,
        read=inspection.read,
        depth=inspection.depth,
        around=inspection.around,
    )
