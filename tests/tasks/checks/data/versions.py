"""Two versions of a table: one that was accepted, and one that is asked about."""

from pathlib import Path
from typing import Any

from tasks.checks.lab import Lab, Spread
from tasks.domain.bundle import LAST, PROFILE, Baseline, DataSpec, DataSpecs, FileEntry
from tasks.domain.reference import ReferenceProfile
from tests.simulators.store import MemoryStore
from tests.tasks.checks.benches import lab
from tests.tasks.intake.tables import written

SPEC = DataSpec(path="data/people.parquet", inputs="all others", labels="label")


def versions(
    check: str,
    folder: Path,
    table: Any,
    *,
    accepted: Any = None,
    profile: ReferenceProfile | None = None,
    store: MemoryStore | None = None,
    spread: Spread | None = None,
    **parquet: Any,
) -> Lab:
    """Builds the lab of a check on ``table``, held against what is given."""
    store = store or MemoryStore()
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    if accepted is not None:
        path = written(folder, accepted, "accepted.parquet")
        files.append(_kept(store, f"{LAST}training.parquet", path.read_bytes()))
    if profile is not None:
        files.append(_kept(store, PROFILE, profile.canonical()))
    baseline = Baseline(
        asset="Acme/people@1" if accepted is not None else "",
        run="run-1" if accepted is not None else "",
        data=DataSpecs(training=SPEC) if accepted is not None else DataSpecs(),
        files=tuple(files),
    )
    return lab(
        check,
        folder,
        files={SPEC.path: written(folder, table, **parquet).read_bytes()},
        store=store,
        data=DataSpecs(training=SPEC),
        baseline=None if baseline == Baseline() else baseline,
        spread=spread,
        kind="dataset",
        artifact=None,
    )


def _kept(store: MemoryStore, path: str, data: bytes) -> FileEntry:
    return FileEntry(path=path, digest=store.put(data).digest, size_bytes=len(data))
