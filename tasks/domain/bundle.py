"""A vendor's bundle as ``bundle.yaml`` describes it (schema ``proofhouse.bundle/1``)."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tasks.domain.digest import DigestField
from tasks.domain.frozen import Frozen
from tasks.domain.measurement import Observation

_SAFE_PART = re.compile(r"^[^\x00-\x1f\x7f\\/:]+$")


def _is_inside(path: str) -> str:
    parts = path.split("/")
    if len(path) > 400 or not all(_SAFE_PART.match(p) and p not in {".", ".."} for p in parts):
        raise ValueError(f"{path!r} is not a plain relative path inside the bundle")
    return path


BundlePath = Annotated[str, AfterValidator(_is_inside)]
"""Relative, forward slashes, no ``..``, no control characters, no drive letters."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class Vendor(Frozen):
    """Who hands the bundle in."""

    name: Name
    contact: Name


class InputSpec(Frozen):
    """What the model eats: one item's shape, and the raw range before normalisation.

    The model sees ``(x - mean) / std`` per channel, where ``x`` lies in ``range``.
    """

    shape: Annotated[
        tuple[Annotated[int, Field(ge=1, le=100_000)], ...], Field(min_length=1, max_length=4)
    ]
    dtype: Literal["float32", "uint8"] = "float32"
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Field(gt=0)], ...] = (1.0,)

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"input range {self.range} is empty")
        if len(self.mean) != len(self.std) or len(self.mean) not in {1, self.shape[0]}:
            raise ValueError("mean and std need one number, or one per channel")
        return self


class OutputSpec(Frozen):
    """What the model answers."""

    kind: Literal["logits", "probabilities", "labels", "value", "text"]
    classes: int | None = Field(default=None, ge=2, le=100_000)


class Endpoint(Frozen):
    """A model behind an address instead of a file."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://", max_length=2000)]


class ModelSpec(Frozen):
    """The model that the bundle is about."""

    name: Name
    version: Name
    task: Literal["classification", "regression", "chat"]
    artifact: BundlePath | None = None
    endpoint: Endpoint | None = None
    architecture: BundlePath | None = None
    input: InputSpec | None = None
    output: OutputSpec | None = None
    intended_use: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.artifact is None) == (self.endpoint is None):
            raise ValueError("a model has either an artifact or an endpoint")
        if (
            self.task == "classification"
            and self.artifact
            and not (self.input and self.output and self.output.classes)
        ):
            raise ValueError("a classification artifact needs input, output and output.classes")
        return self


class DataSpec(Frozen):
    """One table of labelled items: a file and the names of its two arrays or columns."""

    path: BundlePath
    inputs: Name = "x"
    labels: Name = "y"


class DataSpecs(Frozen):
    """Which data came along."""

    evaluation: DataSpec | None = None
    training: DataSpec | None = None


class Documents(Frozen):
    """Paths of the papers."""

    model_card: BundlePath | None = None
    datasheet: BundlePath | None = None
    bom: BundlePath | None = None
    questionnaire: BundlePath | None = None
    provenance: BundlePath | None = None
    croissant: BundlePath | None = None
    requirements: BundlePath | None = None


class SignatureSpec(Frozen):
    """Where the OpenSSF model signature lies and how it was made."""

    path: BundlePath
    method: Literal["key", "certificate", "sigstore"] = "key"


class Claims(Frozen):
    """What the vendor says; every claim is compared with a measurement."""

    accuracy: float | None = Field(default=None, ge=0, le=1)
    licence: str | None = None
    dp_epsilon: float | None = Field(default=None, gt=0)
    training_data: tuple[str, ...] = ()


class BundleSpec(Frozen):
    """The whole of ``bundle.yaml``."""

    schema_: Literal["proofhouse.bundle/1"] = Field(alias="schema")
    vendor: Vendor
    model: ModelSpec
    data: DataSpecs = DataSpecs()
    documents: Documents = Documents()
    signature: SignatureSpec | None = None
    claims: Claims = Claims()
    digests: dict[BundlePath, DigestField] = {}
    """Optional: path to digest, compared with the bytes at intake."""

    @property
    def asset(self) -> str:
        """``vendor/name@version``: how people speak of the asset."""
        return f"{self.vendor.name}/{self.model.name}@{self.model.version}"


class FileEntry(Frozen):
    """One file of the bundle as it lies in quarantine."""

    path: str
    digest: DigestField
    size_bytes: int = Field(ge=0)


class Dataset(Frozen):
    """A data file decoded to safetensors with tensors ``inputs`` and ``labels``, by digest.

    ``inputs`` is (rows, …), ``labels`` is (rows,). ``digest`` is None when the file could not be
    decoded; ``problem`` then says why.
    """

    role: Literal["evaluation", "training"]
    path: str
    source: DigestField
    digest: DigestField | None
    rows: int = 0
    problem: str = ""


class Subject(Frozen):
    """Everything the checks may know of one bundle. Its digest is the bundle's identity."""

    spec: BundleSpec
    files: tuple[FileEntry, ...]
    datasets: tuple[Dataset, ...] = ()
    observations: tuple[Observation, ...] = ()
    answers: dict[str, bool | int | float | str] = {}
    """Questionnaire answers by question id, as the vendor gave them."""
    facts: dict[str, int | float | str] = {}
    """What the artifact's own bytes say: ``artifact_format``, ``parameters``, where known."""

    def file(self, path: str) -> FileEntry | None:
        """Returns the entry of ``path``, or None."""
        return next((entry for entry in self.files if entry.path == path), None)

    def dataset(self, role: str) -> Dataset | None:
        """Returns the data handed in for ``role``, or None."""
        return next((data for data in self.datasets if data.role == role), None)
