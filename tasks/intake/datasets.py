"""The trusted side of decoding: asks a child, believes nothing, stores canonical arrays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import safetensors.numpy

from tasks.domain.bundle import BundleSpec, Dataset, DataSpec, FileEntry
from tasks.domain.errors import ChildError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.names import shown
from tasks.intake.scratch import scratch
from tasks.sandbox.protocol import Array, Limits, Reply, Sandbox
from tasks.store.protocol import ObjectStore

MOST_DECODED_BYTES = 512 << 20
"""Inputs as float32. Twice this, plus the parser's own copy, fits the child's memory."""
Role = Literal["evaluation", "training"]


class Decoded(NamedTuple):
    """A dataset and what was odd about it."""

    dataset: Dataset
    observations: tuple[Observation, ...]


def decode(
    spec: BundleSpec,
    files: tuple[FileEntry, ...],
    store: ObjectStore,
    sandbox: Sandbox,
    workspace: Path,
) -> tuple[Decoded, ...]:
    """Decodes every data file that the manifest names, each in its own child.

    A file that cannot be decoded is a :class:`Dataset` without digest and with the problem.
    """
    entries = {file.path: file for file in files}
    decoder = _Decoder(spec, store, sandbox, workspace)
    return tuple(
        decoder.decoded(role, data, entries[data.path])
        for role, data in _handed_in(spec)
        if data is not None
    )


def same_data(decoded: tuple[Decoded, ...]) -> Iterator[Observation]:
    """Notes when training and evaluation data are the same bytes."""
    digests = [item.dataset.digest for item in decoded if item.dataset.digest]
    if len(digests) > 1 and len(set(digests)) == 1:
        yield Observation(
            rule="data.same_data",
            severity=Severity.HIGH,
            detail="training and evaluation data are the same; results on them mean little",
            location=decoded[0].dataset.path,
        )


def _handed_in(spec: BundleSpec) -> tuple[tuple[Role, DataSpec | None], ...]:
    return (("evaluation", spec.data.evaluation), ("training", spec.data.training))


class _Decoder:
    """What stays the same from file to file."""

    def __init__(
        self, spec: BundleSpec, store: ObjectStore, sandbox: Sandbox, workspace: Path
    ) -> None:
        self._spec = spec
        self._store = store
        self._sandbox = sandbox
        self._workspace = workspace
        self._key: dict[str, Any] | None = {} if spec.model.kind == "dataset" else None

    def decoded(self, role: Role, data: DataSpec, entry: FileEntry) -> Decoded:
        if self._spec.model.task == "chat":
            why = "conversations are text; no arrays are made of them"
            return Decoded(_undecoded(role, data, entry, why), ())
        reply = self._asked(data, entry)
        problem = str(reply.values.get("problem", "")) or _disbelief(reply, self._spec)
        if problem:
            told = _observed("data.undecodable", "high", f"{role}: {problem}", data)
            return Decoded(_undecoded(role, data, entry, problem), (told,))
        if self._key is not None and isinstance(key := reply.values.get("key"), dict):
            self._key = key  # a stranger's word, that only goes back into a child
        inputs, labels = reply.arrays["inputs"], reply.arrays["labels"]
        stored = self._store.put(safetensors.numpy.save({"inputs": inputs, "labels": labels}))
        dataset = Dataset(
            role=role, path=data.path, source=entry.digest, digest=stored.digest, rows=len(labels)
        )
        notes = tuple(
            _observed(str(note["rule"]), str(note["severity"]), f"{role}: {note['detail']}", data)
            for note in reply.values.get("notes", [])
        )
        return Decoded(dataset, notes)

    def _asked(self, data: DataSpec, entry: FileEntry) -> Reply:
        with scratch(self._workspace, "decode") as folder:
            place = folder / ("data" + Path(data.path).suffix.lower())
            self._store.fetch(entry.digest, place)
            try:
                return self._called(place, data)
            except ChildError as error:
                # The child's last words may name its folder, which differs from run to run.
                words = shown(error.message.replace(str(folder), ""))
                return Reply({}, {"problem": f"the decoder failed ({error.code}): {words}"})

    def _called(self, place: Path, data: DataSpec) -> Reply:
        model = self._spec.model
        with self._sandbox.session((place,), Limits()) as session:
            return session.call(
                "intake.decoding.decode_examples",
                path=str(place),
                inputs=data.inputs,
                labels=data.labels,
                most_bytes=MOST_DECODED_BYTES,
                task=model.task,
                shape=list(model.input.shape) if model.input else None,
                classes=model.output.classes if model.output else None,
                value_range=list(model.input.range) if model.input else None,
                key=self._key,
            )


def _undecoded(role: Role, data: DataSpec, entry: FileEntry, why: str) -> Dataset:
    return Dataset(role=role, path=data.path, source=entry.digest, digest=None, problem=why[:2000])


def _disbelief(reply: Reply, spec: BundleSpec) -> str:
    """Holds the child's arrays against the contract; empty when they keep it."""
    inputs, labels = reply.arrays.get("inputs"), reply.arrays.get("labels")
    if inputs is None or labels is None:
        return "the decoder gave no arrays"
    kind = np.float32 if spec.model.task == "regression" else np.int64
    if inputs.dtype != np.float32 or labels.dtype != kind or labels.shape != inputs.shape[:1]:
        return "the decoder gave arrays of the wrong kind"
    if not len(labels) or not np.isfinite(inputs).all() or not _in_classes(labels, spec):
        return "the decoder gave empty, broken or out-of-range arrays"
    return ""


def _in_classes(labels: Array, spec: BundleSpec) -> bool:
    classes = spec.model.output.classes if spec.model.output else None
    if spec.model.task == "regression":
        return bool(np.isfinite(labels).all())
    return bool(labels.min() >= 0 and labels.max() < (classes or 100_000))


def _observed(rule: str, severity: str, detail: str, data: DataSpec) -> Observation:
    # A child chooses these words, so an unknown severity is not believed to be harmless.
    known = severity in set(Severity)
    return Observation(
        rule=rule,
        severity=Severity(severity) if known else Severity.HIGH,
        detail=detail[:2000],
        location=data.path,
    )
