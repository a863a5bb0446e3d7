"""What a run compared: its table, and the models it kept, laid out in a folder."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.domain.digest import Digest
from tasks.domain.finding import Finding
from tasks.domain.measurement import Measurement, Status
from tasks.ledger.seal import sealed_run
from tasks.reports.pictures import pictures
from tasks.store.protocol import ObjectStore


def measured(run: str, check: str, store: ObjectStore) -> Measurement:
    """Returns what a sealed run measured by a check."""
    found = sealed_run(store, run)
    assert found is not None, "a run that was announced is sealed"
    execution = next(each for each in found[0].executions if each.check == check)
    return Measurement.parse(store.get(execution.measurement))


def with_table(
    document: dict[str, Any], check: str, store: ObjectStore, *, table: str, rows: str
) -> dict[str, Any]:
    """Adds to a sealed run's document what a check's table says.

    Args:
        document: Of the run.
        check: Which measured the table.
        store: Where it is kept.
        table: Name of the artifact.
        rows: Its list; empty when nothing was measured.
    """
    measurement = measured(document["run"], check, store)
    found: dict[str, Any] = {rows: [], "refused": {}}
    if measurement.status is Status.MEASURED:
        digest = next(each.digest for each in measurement.artifacts if each.name == table)
        found = json.loads(store.get(digest))
    return {**document, "detail": measurement.detail, **found}


def lay_out(
    measurement: Measurement,
    finding: Finding,
    read: Callable[[Digest], bytes],
    folder: Path,
    *,
    picture: str = "curve.png",
) -> list[Path]:
    """Writes table, picture and models to a folder; returns the files."""
    if measurement.status is not Status.MEASURED:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for artifact in measurement.artifacts:
        data = read(artifact.digest)
        written.append(folder / artifact.name)
        written[-1].write_bytes(data)
        for drawn in pictures(finding, artifact, data):
            written.append(folder / picture)
            written[-1].write_bytes(base64.b64decode(drawn.source.partition(",")[2]))
    return written
