"""Subjects for tests: a bundle as intake would describe it, without any files."""

import numpy as np
import safetensors.numpy

from tasks.domain.bundle import BundleSpec, Dataset, FileEntry, Subject
from tasks.domain.digest import digest_of
from tasks.sandbox.protocol import Array
from tasks.store.protocol import ObjectStore

BUNDLE = {
    "schema": "proofhouse.bundle/1",
    "vendor": {"name": "Acme", "contact": "security@acme.example"},
    "model": {
        "name": "reader",
        "version": "1",
        "task": "classification",
        "artifact": "model.safetensors",
        "architecture": "layers.yaml",
        "input": {"shape": [4]},
        "output": {"kind": "logits", "classes": 3},
    },
}
LAYERS = b"layers: [{linear: {in: 4, out: 3}}]\n"


def linear_weights(scale: float = 1.0) -> bytes:
    """A linear model that answers the index of the largest of its first three inputs."""
    weight = np.eye(3, 4, dtype=np.float32) * scale
    data: bytes = safetensors.numpy.save({"weight": weight, "bias": np.zeros(3, np.float32)})
    return data


def linear_subject(store: ObjectStore, *, weights: bytes | None = None) -> Subject:
    """A subject with a linear model and 60 evaluation rows that it answers rightly."""
    files = {"model.safetensors": weights or linear_weights(), "layers.yaml": LAYERS}
    inputs = np.random.default_rng(0).uniform(0, 1, (60, 4)).astype(np.float32)
    return Subject(
        spec=BundleSpec.model_validate(BUNDLE),
        files=tuple(
            FileEntry(path=path, digest=store.put(data).digest, size_bytes=len(data))
            for path, data in files.items()
        ),
        datasets=(dataset(store, inputs, inputs[:, :3].argmax(1)),),
    )


def dataset(store: ObjectStore, inputs: Array, labels: Array) -> Dataset:
    """Evaluation data as intake would store it."""
    data = safetensors.numpy.save({"inputs": inputs, "labels": labels.astype(np.int64)})
    return Dataset(
        role="evaluation",
        path="eval.npz",
        source=digest_of(b"eval.npz"),
        digest=store.put(data).digest,
        rows=len(labels),
    )
