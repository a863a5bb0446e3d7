"""A vendor's bundle as ``bundle.yaml`` describes it (schema ``proofhouse.bundle/1``)."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tasks.domain.digest import DigestField
from tasks.domain.frozen import Frozen
from tasks.domain.measurement import Observation
from tasks.domain.recipe import TrainingRecipe
from tasks.domain.table import Table

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
    table: Table | None = None
    """What a row may look like, where items are rows of a table."""

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"input range {self.range} is empty")
        if len(self.mean) != len(self.std) or len(self.mean) not in {1, self.shape[0]}:
            raise ValueError("mean and std need one number, or one per channel")
        if self.table and self.shape != (len(self.table.columns),):
            raise ValueError(
                f"the table has {len(self.table.columns)} columns, an item is {self.shape}"
            )
        return self


class OutputSpec(Frozen):
    """What the model answers."""

    kind: Literal["logits", "probabilities", "labels", "value", "text"]
    classes: int | None = Field(default=None, ge=2, le=100_000)
    embedding: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{1,200}$")] | None = Field(
        default=None, exclude_if=lambda layer: layer is None
    )
    """The layer whose output is handed out as well (for search, say): its name, or its place in the
    layer list from 0, such as ``7`` or ``3.layers.0``."""


def _is_plain_url(url: str) -> str:
    """Refuses what different readers of a URL read differently."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"the url cannot be read: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("the url must be http(s)://host[:port]/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the url holds a user or password: name a secret under auth instead")
    if parts.fragment or not _PLAIN_URL.match(url) or port == 0:
        raise ValueError("the url must be plain ASCII without fragment, spaces or backslashes")
    return url


_PLAIN_URL = re.compile(r"^[\x21-\x5b\x5d-\x7e]+$")
JsonPath = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?$", max_length=200)
]
"""Keys from the outside in, joined by dots; a number is a place in a list."""


class Secret(Frozen):
    """Where the operator keeps what the endpoint wants to see; never the secret itself.

    The vendor writes this, so it can only name variables and files that exist for this purpose.
    """

    env: (
        Annotated[str, StringConstraints(pattern=r"^PROOFHOUSE_ENDPOINT_[A-Z0-9_]{1,60}$")] | None
    ) = None
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = (
        None
    )
    header: Annotated[
        str, StringConstraints(pattern=r"^(?i:authorization|api-key|x-[a-z0-9-]{1,60})$")
    ] = "Authorization"
    scheme: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{0,20}$")] = "Bearer"

    @model_validator(mode="after")
    def _names_one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("auth names either env or file")
        return self


class JsonMapping(Frozen):
    """Where the items stand in a question, and the answers in what comes back."""

    inputs: JsonPath = "instances"
    answers: JsonPath = "predictions"
    """Path to a list with one entry per item; empty when the whole answer is that list."""
    each: JsonPath = ""
    """Path from one entry to its numbers; empty when the entry is the numbers."""
    flat: bool = False
    """Items are sent as rows of numbers, whatever their shape."""


class Endpoint(Frozen):
    """A model behind an address instead of a file."""

    url: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_is_plain_url)]
    protocol: Literal["v2", "json"] = "v2"
    """``v2``: Open Inference Protocol (KServe, Triton, MLServer), JSON; ``json``: by mapping."""
    input_name: Name = "input-0"
    output_name: str = ""
    """Tensor that holds the answer (v2); empty takes the only one."""
    mapping: JsonMapping = JsonMapping()
    batch: int = Field(default=32, ge=1, le=1024)
    timeout_seconds: float = Field(default=10, ge=0.1, le=120)
    queries_per_second: float | None = Field(default=None, gt=0, le=1e6)
    auth: Secret | None = None

    @property
    def place(self) -> tuple[str, int]:
        """Host (lower case, without a last dot) and port."""
        parts = urlsplit(self.url)
        default = 443 if parts.scheme == "https" else 80
        return (parts.hostname or "").rstrip("."), parts.port or default


class ModelSpec(Frozen):
    """The model that the bundle is about; of kind ``dataset``, the data alone and no model."""

    kind: Literal["model", "dataset"] = Field(
        default="model", exclude_if=lambda kind: kind == "model"
    )
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
        if self.kind == "dataset":
            if self.artifact or self.endpoint or self.architecture:
                raise ValueError("a dataset has no artifact, endpoint or architecture")
            return self
        if (self.artifact is None) == (self.endpoint is None):
            raise ValueError("a model has either an artifact or an endpoint")
        if (
            self.task == "classification"
            and self.artifact
            and not (self.input and self.output and self.output.classes)
        ):
            raise ValueError("a classification artifact needs input, output and output.classes")
        return self


class DatasetSpec(Frozen):
    """What ``dataset:`` says of data that comes without a model."""

    name: Name
    version: Name
    task: Literal["classification", "regression"] = "classification"
    input: InputSpec | None = None
    classes: int | None = Field(default=None, ge=2, le=100_000)
    intended_use: str = ""

    def as_model(self) -> ModelSpec:
        """Returns the same in the place where bundles keep what they are about."""
        return ModelSpec(
            kind="dataset",
            name=self.name,
            version=self.version,
            task=self.task,
            input=self.input,
            output=OutputSpec(kind="labels", classes=self.classes) if self.classes else None,
            intended_use=self.intended_use,
        )


class DataSpec(Frozen):
    """One table of labelled items: a file and the names of its two arrays or columns."""

    path: BundlePath
    inputs: Name = "x"
    labels: Name = "y"


class EscrowSpec(Frozen):
    """Members of the training data and others, named by digest; the files stay where they are."""

    members: DigestField
    others: DigestField
    inputs: Name = "x"
    labels: Name = "y"


class DataSpecs(Frozen):
    """Which data came along, and which the assessor may look at without keeping it."""

    evaluation: DataSpec | None = None
    training: DataSpec | None = None
    escrow: EscrowSpec | None = Field(default=None, exclude_if=lambda told: told is None)
    """Used in place of training and evaluation data by the checks that ask about members."""

    def of(self, role: str) -> DataSpec | None:
        """Returns the table that was handed in for a role, or None."""
        return {"training": self.training, "evaluation": self.evaluation}.get(role)


class Documents(Frozen):
    """Paths of the papers."""

    model_card: BundlePath | None = None
    datasheet: BundlePath | None = None
    bom: BundlePath | None = None
    questionnaire: BundlePath | None = None
    provenance: BundlePath | None = None
    croissant: BundlePath | None = None
    requirements: BundlePath | None = None
    dataset_manifest: BundlePath | None = Field(default=None, exclude_if=lambda path: path is None)
    """Made by ``proofhouse manifest``: signs files and rows of the data."""
    annotations: BundlePath | None = Field(default=None, exclude_if=lambda path: path is None)
    """CSV with columns row, labeler, label: who gave which label."""


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
    training: TrainingRecipe | None = None
    """How the model was trained, as far as the vendor tells."""
    digests: dict[BundlePath, DigestField] = {}
    """Optional: path to digest, compared with the bytes at intake."""

    @model_validator(mode="before")
    @classmethod
    def _about_data(cls, value: Any) -> Any:
        """Reads ``dataset:`` in place of ``model:``: data handed in without a model."""
        if not isinstance(value, dict) or "dataset" not in value:
            return value
        if "model" in value:
            raise ValueError("a bundle is about a model or a dataset: give one of the two")
        told = DatasetSpec.model_validate(value["dataset"])
        rest = {key: item for key, item in value.items() if key != "dataset"}
        return rest | {"model": told.as_model().model_dump()}

    @model_validator(mode="after")
    def _has_data(self) -> Self:
        if self.model.kind == "dataset" and not (self.data.evaluation or self.data.training):
            raise ValueError("a dataset needs data.training, data.evaluation or both")
        return self

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


class Baseline(Frozen):
    """What a new version is held against: the last accepted one, and a profile that is trusted.

    ``files`` are called ``last:<role><suffix>`` and ``profile:json``; no file of a bundle can be
    called so.
    """

    asset: str = ""
    """``vendor/name@version`` of the accepted version; empty when there is none."""
    run: str = ""
    """The sealed run that accepted it."""
    data: DataSpecs = DataSpecs()
    """Which array or column of its files is what."""
    files: tuple[FileEntry, ...] = ()

    def last(self, role: str) -> FileEntry | None:
        """Returns the accepted version's file for a role, or None."""
        wanted = f"{LAST}{role}"
        return next((f for f in self.files if f.path.partition(".")[0] == wanted), None)


LAST, PROFILE = "last:", "profile:json"


class Subject(Frozen):
    """Everything the checks may know of one bundle. Its digest is the bundle's identity."""

    spec: BundleSpec
    files: tuple[FileEntry, ...]
    datasets: tuple[Dataset, ...] = ()
    observations: tuple[Observation, ...] = ()
    answers: dict[str, bool | int | float | str] = {}
    """Questionnaire answers by question id, as the vendor gave them."""
    filled: dict[str, bool | int | float | str] = {}
    """Answers to questions that the vendor left open, as an operator filled them in."""
    filled_by: str = ""
    """Who says to have filled them in; a name in a form, not a proof."""
    facts: dict[str, int | float | str] = {}
    """What the artifact's own bytes say: ``artifact_format``, ``parameters``, where known."""
    baseline: Baseline | None = Field(default=None, exclude_if=lambda told: told is None)
    whole: DigestField | None = Field(default=None, exclude_if=lambda told: told is None)
    """The subject of the bundle with a model, where only its data are looked at."""

    def is_same_bundle(self, other: "Subject") -> bool:
        """Answers whether both were handed in as the same bytes, whatever is known of them."""
        return (self.spec, self.files) == (other.spec, other.files)

    def file(self, path: str) -> FileEntry | None:
        """Returns the entry of ``path``, of the bundle or of what it is held against, or None."""
        files = (*self.files, *(self.baseline.files if self.baseline else ()))
        return next((entry for entry in files if entry.path == path), None)

    def dataset(self, role: str) -> Dataset | None:
        """Returns the data handed in for ``role``, or None."""
        return next((data for data in self.datasets if data.role == role), None)
