"""Facts that a card states about the model, compared with the manifest and the bytes."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tasks.domain.bundle import BundleSpec
from tasks.intake.artifact import ArtifactFacts
from tasks.intake.licences import contradicts

_KEYS = {
    "licence": {"license", "licence", "model license", "model licence"},
    "format": {"format", "model format", "file format", "artifact format"},
    "parameters": {"parameters", "number of parameters", "parameter count", "num parameters",
                   "model size (parameters)", "total parameters", "trainable parameters"},
    "classes": {"classes", "number of classes", "num classes", "num labels", "output classes"},
    "input shape": {"input shape", "input size", "input dimensions"},
    "version": {"model version", "version"},
}  # fmt: skip
_TOPIC = {key: topic for topic, keys in _KEYS.items() for key in keys}
_FORMATS = {
    "onnx": "onnx", "safetensors": "safetensors", "torchscript": "torchscript", "skops": "skops",
    "joblib": "joblib", "pickle": "pickle", "pytorch exported program": "pt2", "pt2": "pt2",
    "gguf": "gguf", "hdf5": "hdf5", "keras": "keras",
}  # fmt: skip
_COUNT = re.compile(
    r"~?\s{0,3}(\d{1,3}(?:[,_ ]\d{3}){1,5}|\d{1,15}(?:\.\d{1,6})?)\s{0,3}"
    r"(thousand|million|billion|[kmb])?\b",
    re.IGNORECASE,
)
_SCALE = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "billion": 1e9}
_NUMBER = re.compile(r"\d{1,9}")
_VERSION = re.compile(r"v?(\d{1,6}(?:\.\d{1,6}){1,3}\S{0,30})")


class Contradiction(NamedTuple):
    """Which fact, what the card says of it, and what is so."""

    what: str
    said: str
    found: str


def contradictions(
    statements: Iterable[tuple[str, str]], spec: BundleSpec, facts: ArtifactFacts
) -> Iterator[Contradiction]:
    """Yields each stated fact that certainly is not so; what cannot be compared is passed over."""
    for key, said in statements:
        topic = _TOPIC.get(key)
        found = _found(topic, said[:300], spec, facts) if topic else ""
        if topic and found:
            yield Contradiction(topic, said, found)


def _found(topic: str, said: str, spec: BundleSpec, facts: ArtifactFacts) -> str:
    """Returns what is so instead, or nothing when the statement may hold."""
    match topic:
        case "licence":
            wrong = contradicts(said, spec.claims.licence)
            return f"the bundle claims {spec.claims.licence}" if wrong else ""
        case "version":
            return _version(said, spec.model.version)
        case "format":
            return _format(said, facts)
        case "parameters":
            return _parameters(said, facts)
        case "classes":
            return _classes(said, spec.model.output.classes if spec.model.output else None)
        case _:
            return _shape(said, spec.model.input.shape) if spec.model.input else ""


def _version(said: str, version: str) -> str:
    match = _VERSION.match(said)
    wrong = match is not None and match[1] != version.removeprefix("v")
    return f"the bundle says {version}" if wrong else ""


def _classes(said: str, classes: int | None) -> str:
    stated = _count(said)
    wrong = bool(stated and classes and stated[0] != classes)
    return f"the bundle says {classes}" if wrong else ""


def _format(said: str, facts: ArtifactFacts) -> str:
    named = {kind for word, kind in _FORMATS.items() if re.search(rf"\b{word}\b", said.lower())}
    if facts.format and named and facts.format not in named:
        return f"the bytes are {facts.format}"
    return ""


def _parameters(said: str, facts: ArtifactFacts) -> str:
    """Figures as 1.2M are rounded, and buffers may be counted or not: 10 and 2 % of room."""
    stated = _count(said)
    if stated is None or not facts.parameters:
        return ""
    number, rounded = stated
    room = (0.10 if rounded else 0.02) * facts.parameters
    return f"the bytes hold {facts.parameters}" if abs(number - facts.parameters) > room else ""


def _count(said: str) -> tuple[float, bool] | None:
    match = _COUNT.match(said)
    if match is None:
        return None
    number = float(re.sub(r"[,_ ]", "", match[1]))
    return number * _SCALE.get((match[2] or "").lower(), 1.0), match[2] is not None


def _shape(said: str, shape: tuple[int, ...]) -> str:
    """Order (channels first or last) and a batch of one are left open."""
    stated = sorted(n for n in (int(text) for text in _NUMBER.findall(said)) if n > 1)
    mine = sorted(n for n in shape if n > 1)
    # Batch sizes are written as words or 1; another number there would be a dimension.
    return f"the bundle says {list(shape)}" if stated and stated != mine else ""
