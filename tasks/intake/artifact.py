"""What the artifact's own bytes say of the model: format, number of parameters, shapes.

:func:`artifact_facts` runs in the sandbox child; it reads headers and never runs or loads a model.
"""

import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

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
_SHAPE = re.compile(r"[A-Za-z0-9_? x]{1,200}")


class ArtifactFacts(NamedTuple):
    """What was read; empty or zero where the bytes do not say.

    Shapes are texts as ``n x 1 x 8 x 8``: free dimensions by their names.
    """

    format: str = ""
    parameters: int = 0
    input_shape: str = ""
    output_shape: str = ""

    def known(self) -> dict[str, int | float | str]:
        """Returns what is known, by the names that subjects use."""
        found: dict[str, int | float | str] = {
            "artifact_format": self.format,
            "parameters": self.parameters,
            "input_shape": self.input_shape,
            "output_shape": self.output_shape,
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def of(cls, known: Mapping[str, int | float | str]) -> Self:
        """Returns the facts that :meth:`known` told."""
        return cls(
            str(known.get("artifact_format", "")),
            int(known.get("parameters", 0)),
            str(known.get("input_shape", "")),
            str(known.get("output_shape", "")),
        )


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
        _checked_shape(values.get("input_shape")),
        _checked_shape(values.get("output_shape")),
    )


def _checked_shape(value: object) -> str:
    return value if isinstance(value, str) and _SHAPE.fullmatch(value) else ""


def artifact_facts(*, path: str) -> Reply:
    """Reads format and parameter count from a file's headers (in the child).

    Returns:
        ``values``: ``format``, ``parameters``, ``input_shape``, ``output_shape``; empty or 0 when
        unknown.
    """
    place = Path(path)
    kind = _kind(place)
    readers = {"safetensors": _safetensors_facts, "onnx": _onnx_facts}
    try:
        found: dict[str, Any] = readers[kind](place) if kind in readers else {}
    except Exception:  # noqa: BLE001 - a hostile file breaks parsers in any way; others judge it
        found = {}
    return Reply({}, {"format": kind, "parameters": 0} | found)


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


def _safetensors_facts(place: Path) -> dict[str, Any]:
    with place.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = parse_json(stream.read(length), place="header", caps=_HEADER)
    tensors = (value for name, value in header.items() if name != "__metadata__")
    return {"parameters": sum(math.prod(tensor["shape"]) for tensor in tensors)}


def _onnx_facts(place: Path) -> dict[str, Any]:
    import onnx  # noqa: PLC0415 - half a second, only for this format

    graph = onnx.load_model(place, load_external_data=False).graph
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE,
              onnx.TensorProto.BFLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.UINT8}  # fmt: skip
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in weights]
    return {
        "parameters": sum(math.prod(t.dims) for t in graph.initializer if t.data_type in floats),
        "input_shape": _onnx_shape(inputs),
        "output_shape": _onnx_shape(graph.output),
    }


def _onnx_shape(values: Any) -> str:
    """Returns the shape of the one input or output; nothing when there are several."""
    if len(values) != 1:
        return ""
    sizes = values[0].type.tensor_type.shape.dim
    parts = (re.sub(r"\W", "_", size.dim_param) or str(size.dim_value or "?") for size in sizes)
    return " x ".join(parts)[:200]
