"""A lab on small data, for tests of checks: memory store, sandbox without walls."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import resolve_parameters
from tasks.checks.lab import Lab, Spread
from tasks.domain.bundle import (
    Baseline,
    BundleSpec,
    Claims,
    Dataset,
    DataSpecs,
    FileEntry,
    InputSpec,
    ModelSpec,
    OutputSpec,
    Subject,
    Vendor,
)
from tasks.domain.measurement import Observation
from tasks.domain.spec import Parameter
from tasks.sandbox.protocol import Array
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore

Rows = tuple[Array, Array]


def lab(
    check: str,
    workspace: Path,
    *,
    evaluation: Rows | None = None,
    training: Rows | None = None,
    files: Mapping[str, bytes] | None = None,
    classes: int = 3,
    seed: int = 7,
    shape: tuple[int, ...] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    claims: Claims = Claims(),  # noqa: B008 - frozen, so every call may share it
    observations: tuple[Observation, ...] = (),
    store: MemoryStore | None = None,
    parameters: Mapping[str, Parameter] | None = None,
    data: DataSpecs = DataSpecs(),  # noqa: B008 - likewise
    baseline: Baseline | None = None,
    spread: Spread | None = None,
    **model: Any,
) -> Lab:
    """Builds the lab that the runner would build for ``check`` on this bundle."""
    store = store or MemoryStore()
    given = {"evaluation": evaluation, "training": training}
    shown = evaluation or training
    item = shape or (tuple(shown[0].shape[1:]) if shown else (4,))
    spec = BundleSpec(
        schema_="proofhouse.bundle/1",
        vendor=Vendor(name="Acme", contact="security@acme.example"),
        model=ModelSpec(
            **{
                "name": "reader",
                "version": "1.0.0",
                "task": "classification",
                "artifact": "model.safetensors",
                "input": InputSpec(shape=item, range=bounds),
                "output": OutputSpec(kind="logits", classes=classes),
            }
            | model
        ),
        claims=claims,
        data=data,
    )
    subject = Subject(
        spec=spec,
        files=tuple(
            FileEntry(path=path, digest=store.put(data).digest, size_bytes=len(data))
            for path, data in (files or {}).items()
        ),
        datasets=tuple(_stored(store, role, rows) for role, rows in given.items() if rows),
        observations=observations,
        baseline=baseline,
    )
    return Lab(
        subject=subject,
        store=store,
        sandbox=DirectSandbox(),
        workspace=workspace,
        parameters=resolve_parameters(Catalog().check(check), parameters or {}),
        seed=seed,
        spread=spread,
    )


def _stored(store: MemoryStore, role: Any, rows: Rows) -> Dataset:
    inputs, labels = (np.ascontiguousarray(array) for array in rows)
    digest = store.put(safetensors.numpy.save({"inputs": inputs, "labels": labels})).digest
    return Dataset(
        role=role, path=f"data/{role}.npz", source=digest, digest=digest, rows=len(labels)
    )
