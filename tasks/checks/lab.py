"""The bench a check works at: its subject, its data, and a sandboxed child that does the work.

A check is a module ``tasks/checks/<family>/<name>.py`` with ``measure(lab: Lab) -> Measurement``.
It runs on the trusted side and imports no torch: heavy or dangerous work is a procedure that
:meth:`Lab.run` sends to the child. The check computes the numbers from what comes back.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import safetensors.numpy

from tasks.checks.endpoint import OUR_SIDE, EndpointLine
from tasks.checks.escrow import Escrow, EscrowError
from tasks.checks.parts import kept_part
from tasks.domain.bundle import Endpoint, FileEntry, Subject
from tasks.domain.digest import Digest
from tasks.domain.measurement import Artifact, Cost, Status
from tasks.domain.spec import Parameter
from tasks.sandbox.protocol import Array, Limits, Reply, Sandbox, Session
from tasks.store.protocol import ObjectStore
from tasks.targets.endpoint.broker import Terms


class NotAvailable(Exception):  # noqa: N818  - an answer, not an error
    """The question arises, but something that it needs is missing; the text says what."""

    status = Status.NOT_AVAILABLE


class NotApplicable(Exception):  # noqa: N818  - an answer, not an error
    """The question does not arise for this asset; the text says why."""

    status = Status.NOT_APPLICABLE


Spread = Callable[[range], Generator[Digest, None, None]]
"""Has parts of this check measured by others; yields where each is stored, in order."""
WORTH_A_CHILD = 4.0
"""Seconds that a part must take before another worker starts a child for it."""


class Opening(NamedTuple):
    """How a model file becomes a target: a procedure, and what it takes beside file and model."""

    procedure: str = "targets.opening.open_target"
    values: Mapping[str, Any] = {}


PLAINLY = Opening()


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
        terms: Terms = Terms(),
        spread: Spread | None = None,
        opening: Opening = PLAINLY,
        escrow: Path | None = None,
    ) -> None:
        self.subject = subject
        self.parameters = parameters
        self.seed = seed
        self.cost = Cost()
        self._store = store
        self._sandbox = sandbox
        self._workspace = workspace
        self._limits = limits
        self._terms = terms
        self._spread = spread
        self._opening = opening
        self._charged: Counter[str] = Counter()
        self._folder = escrow
        self._line = EndpointLine(subject.spec.model, terms)
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
        self._line.close()

    def number(self, name: str) -> float:
        """Returns the parameter ``name`` as a float."""
        return float(self.parameters[name])

    def count(self, name: str) -> int:
        """Returns the parameter ``name`` as an integer."""
        return int(self.parameters[name])

    def text(self, name: str) -> str:
        """Returns the parameter ``name`` as text."""
        return str(self.parameters[name])

    @property
    def sandbox(self) -> Sandbox:
        """Makes further children, for work whose end must not end this lab's own child."""
        return self._sandbox

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

    def people(self, role: Literal["training", "evaluation"]) -> Examples:
        """Returns members (``training``) or others (``evaluation``) for a question about members.

        Rows under escrow go before those of the bundle: no check may keep any of these.

        Raises:
            NotAvailable: No such data came, or it could not be decoded.
        """
        if self.subject.spec.data.escrow is None:
            return self.examples(role)
        try:
            rows = self._escrow().rows(
                role, self.subject.spec, sandbox=self._sandbox, workspace=self._workspace
            )
        except EscrowError as reason:
            raise NotAvailable(str(reason)) from None
        return Examples(*rows)

    def _escrow(self) -> Escrow:
        told = self.subject.spec.data.escrow
        assert told is not None, "asked only where the bundle names an escrow"
        return Escrow(self._folder, told)

    @property
    def _memory(self) -> ObjectStore:
        """Where that is kept which is derived from people's rows."""
        return self._store if self.subject.spec.data.escrow is None else self._escrow().store

    def sample(self, role: str, most: int) -> Examples:
        """Returns at most ``most`` examples, drawn without replacement by the check's seed."""
        examples = self.examples(role)
        rows = self.places(len(examples.labels), most)
        return Examples(examples.inputs[rows], examples.labels[rows])

    def places(self, count: int, most: int) -> Array:
        """Returns which of ``count`` rows :meth:`sample` draws (n,): what to call them outside."""
        return np.random.default_rng(self.seed).permutation(count)[:most]

    def target(self) -> dict[str, Any]:
        """Opens the bundle's model in the child, once, and returns its description.

        Raises:
            NotAvailable: There is no artifact, or the endpoint may not or cannot be asked.
            ChildError: The model could not be opened; the runner turns this into a finding.
            EndpointError: The endpoint hangs, or its answers are none.
        """
        if self._target is None:
            self._target = self._open_target()
        return self._target

    @property
    def attempts(self) -> dict[str, int]:
        """What the child was refused so far, by system call, where the model was opened in it."""
        if self._session is None or self._expected is None:
            return dict(self._charged)
        return dict(Counter(self._session.attempts) - self._expected + self._charged)

    def run(
        self, procedure: str, arrays: Mapping[str, Array] | None = None, **values: Any
    ) -> Reply:
        """Runs a procedure in the child (on the target, when :meth:`target` was called first).

        Adds ``values["passes"]`` and ``values["queries"]`` of the reply to :attr:`cost`.
        """
        with self._asking():
            reply = self._child().call(procedure, arrays, **values)
        self.cost = Cost(
            passes=self.cost.passes + int(reply.values.get("passes", 0)),
            queries=self.cost.queries + int(reply.values.get("queries", 0)),
        )
        return reply

    def parts(self, measure: Callable[[int], Reply], count: int) -> Generator[Reply, None, None]:
        """Yields ``measure(0)``, ``measure(1)`` … in order; whoever stops asking pays no more.

        When the first part shows that the rest is worth a child of its own, and there is somebody
        to spread it over, other workers measure the rest. What is yielded, and :attr:`cost`, are
        the same either way. Close it to let go of parts that are under way.
        """
        started = time.monotonic()
        for index in range(count):
            if index and self._spread and time.monotonic() - started > index * WORTH_A_CHILD:
                yield from self._from_others(self._spread(range(index, count)))
                return
            yield measure(index)

    def _from_others(self, digests: Generator[Digest, None, None]) -> Iterator[Reply]:
        with contextlib.closing(digests):
            for digest in digests:
                part = kept_part(digest, self._store)
                self.cost = Cost(
                    passes=self.cost.passes + int(part.values["passes"]),
                    queries=self.cost.queries + int(part.values["queries"]),
                )
                yield part

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
            NotAvailable: There is neither an artifact nor an endpoint.
        """
        if self._endpoint is not None:
            return None
        if self._session is None:
            self._child(tuple(place for place in self._model_files() if place))
        return self._model_files()[1]

    def model_files(self) -> dict[str, str | None]:
        """Returns where the model's file and its layer list lie, as a procedure takes them.

        Raises:
            NotAvailable: The bundle has no model artifact.
        """
        artifact, architecture = self._model_files()
        return {
            "artifact": str(artifact),
            "architecture": str(architecture) if architecture else None,
        }

    def beside(
        self, opening: Opening = PLAINLY, *, artifact: tuple[str, bytes] | None = None
    ) -> "Lab":
        """Returns a bench of its own, with a fresh child, for a variant of the same model.

        Args:
            opening: How the variant is opened.
            artifact: Path and bytes of a file that takes the place of the model's own.
        """
        subject = self.subject
        if artifact is not None:
            path, data = artifact
            ref = self._store.put(data)
            entry = FileEntry(path=path, digest=ref.digest, size_bytes=ref.size_bytes)
            model = subject.spec.model.model_copy(update={"artifact": path})
            kept = tuple(file for file in subject.files if file.path != path)
            subject = subject.model_copy(
                update={
                    "spec": subject.spec.model_copy(update={"model": model}),
                    "files": (*kept, entry),
                }
            )
        return Lab(
            subject=subject,
            store=self._store,
            sandbox=self._sandbox,
            workspace=self._workspace,
            parameters=self.parameters,
            seed=self.seed,
            limits=self._limits,
            terms=self._terms,
            opening=opening,
            escrow=self._folder,
        )

    def charge(self, other: "Lab") -> None:
        """Adds what was spent, and what the sandbox forbade, on a bench beside this one."""
        self.cost = Cost(
            passes=self.cost.passes + other.cost.passes,
            queries=self.cost.queries + other.cost.queries,
        )
        self._charged += Counter(other.attempts)

    def remembered(self, name: str) -> bytes | None:
        """Returns what an earlier check kept under ``name`` for later ones, or None."""
        claimed = self._memory.claimed(name)
        if claimed is None or not self._memory.has(digest := Digest(claimed.decode())):
            return None
        return self._memory.get(digest)

    def remember(self, name: str, data: bytes) -> None:
        """Keeps ``data`` for later checks; the first to keep something under a name wins."""
        self._memory.claim(name, self._memory.put(data).digest.encode())

    def _fetched(self, digest: Digest, suffix: str) -> Path:
        place = self._workspace / (digest.removeprefix("sha256:") + suffix)
        if not place.exists():
            self._store.fetch(digest, place)
        return place

    def _child(self, readable: tuple[Path, ...] = ()) -> Session:
        if self._session is None:
            asked = {} if self._endpoint is None else {"answering": self._line.answer}
            self._session = self._sandbox.session(readable, self._limits, **asked).__enter__()
        return self._session

    @property
    def _endpoint(self) -> Endpoint | None:
        return self.subject.spec.model.endpoint

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Tells what the endpoint did; what is our side's fault is no answer about the model."""
        try:
            with self._line.asking():
                yield
        except OUR_SIDE as trouble:
            raise NotAvailable(trouble.message) from trouble

    def _model_files(self) -> tuple[Path, Path | None]:
        model = self.subject.spec.model
        if model.artifact is None:
            raise NotAvailable("the bundle has no model artifact")
        architecture = self.path(model.architecture) if model.architecture else None
        return self.path(model.artifact), architecture

    def _open_target(self) -> dict[str, Any]:
        model = self.subject.spec.model
        if model.endpoint is not None:
            described = model.model_dump(mode="json")
            with self._asking():
                return self._child().open("targets.http.open_endpoint", model=described)
        artifact, architecture = self._model_files()
        readable = tuple(path for path in (artifact, architecture) if path)
        child = self._child(readable)
        child.call("targets.opening.prepare", artifact=str(artifact))
        self._expected = Counter(child.attempts)
        return child.open(
            self._opening.procedure,
            **self.model_files(),
            model=model.model_dump(mode="json"),
            **self._opening.values,
        )
