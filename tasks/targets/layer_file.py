"""Reads ``layers.yaml``: a declarative layer list, never code.

The file is vendor bytes. It is read by event first, so that a bomb of aliases, depth or size is
refused before any object is made from it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from tasks.domain.errors import TargetError

MOST_BYTES = 1 << 20
MOST_NODES = 20_000
MOST_DEPTH = 40

Size = Annotated[int, Field(ge=1, le=1 << 20)]
Step = Annotated[int, Field(ge=1, le=10_000)]
Border = Annotated[int, Field(ge=0, le=10_000)]
Pair = Step | tuple[Step, Step]
BorderPair = Border | tuple[Border, Border]


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-5`` as text; people mean a number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


Small = Annotated[float, Field(gt=0, lt=1), BeforeValidator(_number)]


class Strict(BaseModel):
    """Unknown keys are typos, so they are errors; so are numbers written as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


PairField = Annotated[Pair, BeforeValidator(_as_tuple)]
BorderField = Annotated[BorderPair, BeforeValidator(_as_tuple)]


class Conv2d(Strict):
    """Channels in and out, kernel, and the usual settings."""

    in_: Size = Field(alias="in")
    out: Size
    kernel: PairField
    stride: PairField = 1
    padding: BorderField = 0
    dilation: PairField = 1
    groups: Size = 1
    bias: bool = True


class Conv1d(Strict):
    """As :class:`Conv2d` along one axis."""

    in_: Size = Field(alias="in")
    out: Size
    kernel: Step
    stride: Step = 1
    padding: Border = 0
    dilation: Step = 1
    groups: Size = 1
    bias: bool = True


class Linear(Strict):
    """Features in and out."""

    in_: Size = Field(alias="in")
    out: Size
    bias: bool = True


class Pool(Strict):
    """A pooling window; the stride is the kernel when it is left out."""

    kernel: PairField
    stride: PairField | None = None
    padding: BorderField = 0


class AvgPool(Pool):
    """Average pooling."""

    count_include_pad: bool = True


class MaxPool(Pool):
    """Maximum pooling."""

    ceil_mode: bool = False


class AdaptivePool(Strict):
    """Average pooling to a fixed size."""

    output: PairField = Field(default=1, validation_alias=AliasChoices("output", "size"))


class Norm(Strict):
    """Batch normalisation with stored statistics."""

    features: Size = Field(validation_alias=AliasChoices("features", "channels"))
    eps: Small = 1e-5
    affine: bool = True


class LayerNorm(Strict):
    """Layer normalisation over the last axes."""

    shape: Annotated[Size | tuple[Size, ...], BeforeValidator(_as_tuple)]
    eps: Small = 1e-5


class Slope(Strict):
    """The slope left of zero."""

    slope: Annotated[float, Field(ge=-10, le=10)] = 0.01


class Gelu(Strict):
    """Exact by default."""

    approximate: Literal["none", "tanh"] = "none"


class Pad(Strict):
    """Left, right, top, bottom; or one number for all."""

    padding: Annotated[Border | tuple[Border, Border, Border, Border], BeforeValidator(_as_tuple)]


class Nothing(Strict):
    """A layer without settings."""


class Dropout(Strict):
    """Does nothing: targets are in evaluation mode."""

    p: Annotated[float, Field(ge=0, le=1)] = 0.5


class Residual(Strict):
    """Adds what two branches make of the same input; an empty shortcut is the input itself."""

    layers: Annotated[list[Any], Field(min_length=1, max_length=2000)]
    shortcut: Annotated[list[Any], Field(max_length=2000)] = []


KINDS: dict[str, type[Strict]] = {
    "conv2d": Conv2d,
    "conv1d": Conv1d,
    "linear": Linear,
    "relu": Nothing,
    "leaky_relu": Slope,
    "gelu": Gelu,
    "silu": Nothing,
    "sigmoid": Nothing,
    "tanh": Nothing,
    "softmax": Nothing,
    "log_softmax": Nothing,
    "flatten": Nothing,
    "avg_pool2d": AvgPool,
    "max_pool2d": MaxPool,
    "adaptive_avg_pool2d": AdaptivePool,
    "batch_norm2d": Norm,
    "batch_norm1d": Norm,
    "layer_norm": LayerNorm,
    "dropout": Dropout,
    "identity": Nothing,
    "zero_pad2d": Pad,
    "reflection_pad2d": Pad,
    "residual": Residual,
}


class Layer(Strict):
    """One entry of the list: its kind, its settings, its place such as ``3.layers.0``."""

    kind: str
    place: str
    settings: Strict
    layers: tuple["Layer", ...] = ()
    shortcut: tuple["Layer", ...] = ()

    @property
    def title(self) -> str:
        """How messages speak of the layer."""
        return f"layer {self.place} ({self.kind})"


class LayerFile(Strict):
    """The whole document. ``weights`` maps our tensor or layer names to the file's."""

    layers: Annotated[list[Any], Field(min_length=1, max_length=2000)]
    weights: dict[str, str] = {}


class Architecture(Strict):
    """A layer list that has been read and checked, and the tensor names that differ."""

    layers: tuple[Layer, ...]
    weights: dict[str, str]


def read_layer_file(path: Path) -> Architecture:
    """Returns the architecture that the file at ``path`` describes.

    Raises:
        TargetError: Not strict YAML, too large, or not a layer list; lists every problem.
    """
    document = _plain_yaml(_small_bytes(path))
    problems: list[str] = []
    try:
        file = LayerFile.model_validate(document)
    except ValidationError as error:
        raise TargetError(f"the layer list is not valid: {_listed(error)}") from error
    layers = _layers(file.layers, "", problems)
    if problems:
        raise TargetError(f"the layer list is not valid: {'; '.join(problems)}")
    return Architecture(layers=layers, weights=file.weights)


def _small_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise TargetError(f"the layer list is longer than {MOST_BYTES} bytes")
    return data


def _plain_yaml(data: bytes) -> Any:
    try:
        _refuse_bombs(data)
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise TargetError(f"the layer list is not plain YAML: {reason}") from error


def _refuse_bombs(data: bytes) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(data, Loader=yaml.SafeLoader)):
        starts = isinstance(event, yaml.CollectionStartEvent)
        depth += starts - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.YAMLError(f"anchors are not allowed {event.start_mark or ''}".strip())
        if count > MOST_NODES or depth > MOST_DEPTH:
            raise yaml.YAMLError(f"more than {MOST_NODES} nodes or {MOST_DEPTH} levels")


def _layers(entries: list[Any], inside: str, problems: list[str]) -> tuple[Layer, ...]:
    made = (_layer(entry, f"{inside}{at}", problems) for at, entry in enumerate(entries))
    return tuple(layer for layer in made if layer is not None)


def _layer(entry: Any, place: str, problems: list[str]) -> Layer | None:
    kind, settings = _kind_and_settings(entry)
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        problems.append(f"layer {place}: {str(kind)[:60]!r} is not a layer; known are {known}")
        return None
    try:
        read = KINDS[kind].model_validate({} if settings is None else settings)
    except ValidationError as error:
        problems.append(f"layer {place} ({kind}): {_listed(error)}")
        return None
    if not isinstance(read, Residual):
        return Layer(kind=kind, place=place, settings=read)
    return Layer(
        kind=kind,
        place=place,
        settings=read,
        layers=_layers(read.layers, f"{place}.layers.", problems),
        shortcut=_layers(read.shortcut, f"{place}.shortcut.", problems),
    )


def _kind_and_settings(entry: Any) -> tuple[Any, Any]:
    if isinstance(entry, dict) and len(entry) == 1:
        return next(iter(entry.items()))
    return entry if isinstance(entry, str) else repr(entry), None


def _listed(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in issue['loc']) or 'document'}: {issue['msg']}"
        for issue in error.errors()[:50]
    )
