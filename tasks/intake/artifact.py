"""What the artifact's own bytes say of the model: format and number of parameters.

:func:`artifact_facts` runs in the sandbox child; it reads headers and never runs or loads a model.
"""

import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from tasks.domain.bundle import FileEntry
from tasks.domain.errors import ChildError
from tasks.intake.scratch import scratch
from tasks.intake.strict_json import JsonCaps, parse_json
from tasks.sandbox.protocol import Limits, Reply, Sandbox
from tasks.store.protocol import ObjectStore

_HEADER = JsonCaps(most_bytes=100 << 20, nodes=2_000_000, depth=8)
FORMATS = frozenset(
    {"", "onnx", "safetensors", "torchscript", "pt2", "skops", "pickle", "joblib", "hdf5", "keras",
     "gguf"}
)  # fmt: skip
_MOST_PARAMETERS = 1 << 50


class ArtifactFacts(NamedTuple):
    """What was read; empty or zero where the bytes do not say."""

    format: str = ""
    parameters: int = 0

    def known(self) -> dict[str, int | float | str]:
        """Returns what is known, by the names that subjects use."""
        found: dict[str, int | float | str] = {
            "artifact_format": self.format,
            "parameters": self.parameters,
        }
        return {name: value for name, value in found.items() if value}


def read_facts(
    entry: FileEntry | None, store: ObjectStore, sandbox: Sandbox, workspace: Path
) -> ArtifactFacts:
    """Asks a child about the artifact. A child that fails knows nothing, which is no error."""
    if entry is None:
        return ArtifactFacts()
    with scratch(workspace, "facts") as folder:
        place = folder / ("artifact" + Path(entry.path).suffix.lower())
        store.fetch(entry.digest, place)
        try:
            with sandbox.session((place,), Limits()) as session:
                values = session.call("intake.artifact.artifact_facts", path=str(place)).values
        except ChildError:
            return ArtifactFacts()
    kind, parameters = values.get("format"), values.get("parameters")
    return ArtifactFacts(
        kind if kind in FORMATS else "",
        parameters if isinstance(parameters, int) and 0 <= parameters < _MOST_PARAMETERS else 0,
    )


def artifact_facts(*, path: str) -> Reply:
    """Reads format and parameter count from a file's headers (in the child).

    Returns:
        ``values``: ``format`` (empty when unknown) and ``parameters`` (0 when unknown).
    """
    place = Path(path)
    kind = _kind(place)
    counters = {"safetensors": _safetensors_parameters, "onnx": _onnx_parameters}
    try:
        parameters = counters[kind](place) if kind in counters else 0
    except Exception:  # noqa: BLE001 - a hostile file breaks parsers in any way; others judge it
        parameters = 0
    return Reply({}, {"format": kind, "parameters": parameters})


def _kind(place: Path) -> str:
    with place.open("rb") as stream:
        start = stream.read(16)
    if start[:4] == b"PK\x03\x04":
        return _zip_kind(place)
    if start[:4] == b"GGUF":
        return "gguf"
    if start[:8] == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    if start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= place.stat().st_size - 8:
        return "safetensors"
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        return "joblib" if place.suffix == ".joblib" else "pickle"
    # Protobuf has no magic: field 1 (ir_version) as varint comes first in practice.
    return "onnx" if place.suffix == ".onnx" and start[:1] == b"\x08" else ""


def _zip_kind(place: Path) -> str:
    try:
        with zipfile.ZipFile(place) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()[:10_000]}
            folders = {part for name in archive.namelist()[:10_000] for part in name.split("/")}
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return ""
    if "schema.json" in names:
        return "skops"
    if "archive_format" in names or "models" in folders:
        return "pt2"
    if "constants.pkl" in names:
        return "torchscript"
    if "model.weights.h5" in names:
        return "keras"
    return "pickle" if "data.pkl" in names else ""


def _safetensors_parameters(place: Path) -> int:
    with place.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = parse_json(stream.read(length), place="header", caps=_HEADER)
    tensors = (value for name, value in header.items() if name != "__metadata__")
    return sum(math.prod(tensor["shape"]) for tensor in tensors)


def _onnx_parameters(place: Path) -> int:
    import onnx  # noqa: PLC0415 - half a second, only for this format

    graph = onnx.load_model(place, load_external_data=False).graph
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE,
              onnx.TensorProto.BFLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.UINT8}  # fmt: skip
    return sum(math.prod(t.dims) for t in graph.initializer if t.data_type in floats)
