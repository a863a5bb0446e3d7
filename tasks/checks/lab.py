"""The bench a check works at: its subject, its data, and a sandboxed child that does the work.

A check is a module ``tasks/checks/<family>/<name>.py`` with ``measure(lab: Lab) -> Measurement``.
It runs on the trusted side and imports no torch: heavy or dangerous work is a procedure that
:meth:`Lab.run` sends to the child. The check computes the numbers from what comes back.
"""

from collections import Counter
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
        self._expected: Counter[str] | None = None

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

    @property
    def attempts(self) -> dict[str, int]:
        """What the child was refused so far, by system call, where the model was opened in it."""
        if self._session is None or self._expected is None:
            return {}
        return dict(Counter(self._session.attempts) - self._expected)

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

    def _fetched(self, digest: Digest, suffix: str) -> Path:
        place = self._workspace / (digest.removeprefix("sha256:") + suffix)
        if not place.exists():
            self._store.fetch(digest, place)
        return place

    def _child(self, readable: tuple[Path, ...] = ()) -> Session:
        if self._session is None:
            self._session = self._sandbox.session(readable, self._limits).__enter__()
        return self._session

    def _open_target(self) -> dict[str, Any]:
        model = self.subject.spec.model
        if model.artifact is None:
            raise NotAvailable("the bundle has no model artifact")
        artifact = self.path(model.artifact)
        architecture = self.path(model.architecture) if model.architecture else None
        readable = tuple(path for path in (artifact, architecture) if path)
        child = self._child(readable)
        child.call("targets.opening.prepare", artifact=str(artifact))
        self._expected = Counter(child.attempts)
        return child.open(
            "targets.opening.open_target",
            artifact=str(artifact),
            architecture=str(architecture) if architecture else None,
            model=model.model_dump(mode="json"),
        )
