"""The bench a check works at: its subject, its data, and a sandboxed child that does the work.

A check is a module ``tasks/checks/<family>/<name>.py`` with ``measure(lab: Lab) -> Measurement``.
It runs on the trusted side and imports no torch: heavy or dangerous work is a procedure that
:meth:`Lab.run` sends to the child. The check computes the numbers from what comes back.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import safetensors.numpy

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.measurement import Artifact, Cost, Status
from tasks.domain.spec import Parameter
from tasks.sandbox.protocol import Array, Limits, Reply, Sandbox, Session
from tasks.store.protocol import ObjectStore


class NotAvailable(Exception):  # noqa: N818  - an answer, not an error
    """The question arises, but something that it needs is missing; the text says what."""

    status = Status.NOT_AVAILABLE


class NotApplicable(Exception):  # noqa: N818  - an answer, not an error
    """The question does not arise for this asset; the text says why."""

    status = Status.NOT_APPLICABLE


class Examples(NamedTuple):
    """Labelled items: inputs (n, …) float32 in raw range, labels (n,) int64."""

    inputs: Array
    labels: Array


class Lab:
    """Everything one check may touch. Use as a context: leaving it ends the child."""

    def __init__(
        self,
        *,
        subject: Subject,
        store: ObjectStore,
        sandbox: Sandbox,
        workspace: Path,
        parameters: Mapping[str, Parameter],
        seed: int,
        limits: Limits = Limits(),
    ) -> None:
        self.subject = subject
        self.parameters = parameters
        self.seed = seed
        self.cost = Cost()
        self._store = store
        self._sandbox = sandbox
        self._workspace = workspace
        self._limits = limits
        self._session: Session | None = None
        self._target: dict[str, Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            self._session.__exit__(kind, error, trace)

    def number(self, name: str) -> float:
        """Returns the parameter ``name`` as a float."""
        return float(self.parameters[name])

    def count(self, name: str) -> int:
        """Returns the parameter ``name`` as an integer."""
        return int(self.parameters[name])

    def examples(self, role: str) -> Examples:
        """Returns the data handed in for ``role``, as decoded at intake.

        Raises:
            NotAvailable: No such data came, or it could not be decoded.
        """
        dataset = self.subject.dataset(role)
        if dataset is None:
            raise NotAvailable(f"the bundle has no {role} data")
        if dataset.digest is None:
            raise NotAvailable(f"the {role} data cannot be read: {dataset.problem}")
        tensors = safetensors.numpy.load(self._store.get(dataset.digest))
        return Examples(tensors["inputs"], tensors["labels"])

    def sample(self, role: str, most: int) -> Examples:
        """Returns at most ``most`` examples, drawn without replacement by the check's seed."""
        examples = self.examples(role)
        rows = np.random.default_rng(self.seed).permutation(len(examples.labels))[:most]
        return Examples(examples.inputs[rows], examples.labels[rows])

    def target(self) -> dict[str, Any]:
        """Opens the bundle's model in the child, once, and returns its description.

        Raises:
            NotAvailable: There is no artifact, or artifact scans forbid opening it.
            ChildError: The model could not be opened; the runner turns this into a finding.
        """
        if self._target is None:
            self._target = self._open_target()
        return self._target

    def run(
        self, procedure: str, arrays: Mapping[str, Array] | None = None, **values: Any
    ) -> Reply:
        """Runs a procedure in the child (on the target, when :meth:`target` was called first).

        Adds ``values["passes"]`` and ``values["queries"]`` of the reply to :attr:`cost`.
        """
        reply = self._child().call(procedure, arrays, **values)
        self.cost = Cost(
            passes=self.cost.passes + int(reply.values.get("passes", 0)),
            queries=self.cost.queries + int(reply.values.get("queries", 0)),
        )
        return reply

    def keep(self, name: str, *, title: str, media_type: str, data: bytes) -> Artifact:
        """Stores bytes worth keeping and returns the artifact that names them."""
        ref = self._store.put(data)
        return Artifact(
            name=name,
            title=title,
            media_type=media_type,
            digest=ref.digest,
            size_bytes=ref.size_bytes,
        )

    def path(self, bundle_path: str) -> Path:
        """Returns where a file of the bundle lies, fetched by digest on first use (read-only)."""
        entry = self.subject.file(bundle_path)
        if entry is None:
            raise NotAvailable(f"the bundle has no file {bundle_path}")
        return self._fetched(entry.digest, Path(bundle_path).suffix)

    def admit(self, *bundle_paths: str) -> tuple[Path, ...]:
        """Starts the child with leave to read these files of the bundle; returns where they lie.

        Must come before anything else is run or opened: what a child may read never grows.
        """
        if self._session is not None:
            raise RuntimeError("the child is running already; admit files before the first run")
        places = tuple(self.path(bundle_path) for bundle_path in bundle_paths)
        self._child(places)
        return places

    def admit_target(self) -> Path | None:
        """Starts the child with leave to read the model, but opens nothing yet.

        What runs between this and :meth:`target` runs in a child that no vendor byte has touched,
        so its answers may be kept for other assets. Returns where the layer list lies, if any.

        Raises:
            NotAvailable: There is no artifact.
        """
        if self._session is None:
            self._child(tuple(place for place in self._model_files() if place))
        return self._model_files()[1]

    def remembered(self, name: str) -> bytes | None:
        """Returns what an earlier check kept under ``name`` for later ones, or None."""
        claimed = self._store.claimed(name)
        if claimed is None or not self._store.has(digest := Digest(claimed.decode())):
            return None
        return self._store.get(digest)

    def remember(self, name: str, data: bytes) -> None:
        """Keeps ``data`` for later checks; the first to keep something under a name wins."""
        self._store.claim(name, self._store.put(data).digest.encode())

    def _fetched(self, digest: Digest, suffix: str) -> Path:
        place = self._workspace / (digest.removeprefix("sha256:") + suffix)
        if not place.exists():
            self._store.fetch(digest, place)
        return place

    def _child(self, readable: tuple[Path, ...] = ()) -> Session:
        if self._session is None:
            self._session = self._sandbox.session(readable, self._limits).__enter__()
        return self._session

    def _model_files(self) -> tuple[Path, Path | None]:
        model = self.subject.spec.model
        if model.artifact is None:
            raise NotAvailable("the bundle has no model artifact")
        architecture = self.path(model.architecture) if model.architecture else None
        return self.path(model.artifact), architecture

    def _open_target(self) -> dict[str, Any]:
        artifact, architecture = self._model_files()
        readable = tuple(path for path in (artifact, architecture) if path)
        return self._child(readable).open(
            "targets.opening.open_target",
            artifact=str(artifact),
            architecture=str(architecture) if architecture else None,
            model=self.subject.spec.model.model_dump(mode="json"),
        )
