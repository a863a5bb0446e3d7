"""Which formats these bytes could be read as: by content, in every plausible way, not by name."""

import re
from collections.abc import Callable
from typing import NamedTuple

from tasks.domain.severity import Severity
from tasks.scanners import (
    binary_file,
    compressed,
    executorch_file,
    gguf_file,
    hdf5_file,
    npy_array,
    onnx_graph,
    pickle_opcodes,
    safetensors_file,
    saved_model,
    sentencepiece_file,
    sevenzip_archive,
    tar_archive,
    text_file,
    tflite_file,
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


def _has(answer: Callable[[View], str | None]) -> Callable[[View], bool]:
    return lambda view: answer(view) is not None


FORMATS: tuple[Format, ...] = (
    Format("zip", zip_container.looks_like_zip, zip_archive.inspect_zip),
    Format(
        "safetensors", safetensors_file.looks_like_safetensors, safetensors_file.inspect_safetensors
    ),
    Format("onnx", onnx_graph.looks_like_onnx, onnx_graph.inspect_onnx),
    Format("npy", npy_array.looks_like_npy, npy_array.inspect_npy),
    Format("gguf", gguf_file.looks_like_gguf, gguf_file.inspect_gguf),
    Format("hdf5", hdf5_file.looks_like_hdf5, hdf5_file.inspect_hdf5),
    Format("tar", tar_archive.looks_like_tar, tar_archive.inspect_tar),
    Format("compressed", _has(compressed.codec_of), compressed.inspect_compressed),
    Format("7z", sevenzip_archive.looks_like_sevenzip, sevenzip_archive.inspect_sevenzip),
    Format("opaque", _has(compressed.opaque_of), compressed.inspect_opaque),
    Format("program", _has(binary_file.program_of), binary_file.inspect_program),
    Format("picture", _has(binary_file.picture_of), binary_file.inspect_picture),
    Format("executorch", executorch_file.looks_like_executorch, executorch_file.inspect_executorch),
    Format("tflite", tflite_file.looks_like_tflite, tflite_file.inspect_tflite),
    Format(
        "sentencepiece",
        sentencepiece_file.looks_like_sentencepiece,
        sentencepiece_file.inspect_sentencepiece,
    ),
    Format("saved_model", saved_model.looks_like_saved_model, saved_model.inspect_saved_model),
    Format("binary", _has(binary_file.opaque_binary), binary_file.inspect_opaque_binary),
)
_JOBLIB = re.compile(r"\.(joblib|jbl)(\.\w+)?$", re.IGNORECASE)


def read_all(view: View, inspection: Inspection) -> str:
    """Reads ``view`` in every plausible way, writes findings, and returns its main format."""
    if not view.size:
        inspection.note("file.empty", Severity.MEDIUM, "the file has no bytes")
        return "empty"
    names = [each.inspect(view, inspection) for each in FORMATS if each.recognised(view)]
    if _pickle(view, inspection, known=bool(names)):
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


def _pickle(view: View, inspection: Inspection, *, known: bool) -> bool:
    """A pickle has no magic: follow it with notes of its own, keep them when it makes sense.

    ``known`` says that the bytes make sense in another way. A safetensors header of 128 or 640
    bytes begins like a pickle; unless something would happen before the first fault, it is none.
    """
    trial = Notes()
    private = _with_notes(inspection, trial)
    if not pickle_opcodes.inspect_pickle(view, private):
        return False
    if known and {each.rule for each in trial.found.values()} == {"pickle.malformed"}:
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
