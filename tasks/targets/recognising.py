"""Which kind of model a file is, decided by its bytes and only then by its name."""

import zipfile
from pathlib import Path

from tasks.domain.errors import TargetError

HEAD_BYTES = 16
SUFFIXES = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".pt2": "exported program",
    ".skops": "skops",
}
PICKLES = {".joblib", ".pkl", ".pickle", ".sav"}
CONVERT = (
    "it can run code when opened, so it is not opened. "
    "Hand in safetensors with a layer list, ONNX or skops"
)


def recognised(path: Path) -> str:
    """Names the kind of artifact at ``path``.

    Raises:
        TargetError: Missing, empty, a pickle in disguise, or nothing that can be opened.
    """
    if not path.is_file():
        raise TargetError(f"there is no model file {path.name}")
    head = _head(path)
    if not head:
        raise TargetError("the model file is empty")
    if zipfile.is_zipfile(path):
        return _kind_of_zip(path)
    if path.suffix.lower() in PICKLES:
        return "pickle"
    # Before pickles: a header of 128 or 640 bytes begins as they do, and this reader runs nothing.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return "safetensors"
    if head[:1] == b"\x80":
        raise TargetError(
            f"this is a pickle that calls itself {path.suffix or 'nothing'}: {CONVERT}"
        )
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None or kind in {"exported program", "skops"}:
        raise TargetError(
            f"this {path.suffix or 'file without suffix'} is not a model that can be opened. "
            "Known are safetensors, ONNX, TorchScript (.pt), exported program (.pt2), skops, joblib"
        )
    return kind


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise TargetError(f"the model file is a broken zip: {error}") from error
    inner = {name.partition("/")[2] for name in names}
    if "schema.json" in names:
        return "skops"
    if "archive_format" in inner or path.suffix.lower() == ".pt2":
        return "exported program"
    if any(name.startswith("code/") for name in inner) and "constants.pkl" in inner:
        return "torchscript"
    if "data.pkl" in inner:
        raise TargetError(f"this is a PyTorch pickle without a graph: {CONVERT}")
    raise TargetError("this zip is neither TorchScript, nor an exported program, nor skops")
