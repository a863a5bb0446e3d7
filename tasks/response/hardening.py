"""The response to failed evasion: what each defence is worth, and the hardened models."""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks.domain.digest import Digest
from tasks.domain.finding import Finding
from tasks.domain.measurement import Measurement, Status
from tasks.domain.spec import Parameter
from tasks.ledger.seal import sealed_run
from tasks.reports.pictures import pictures
from tasks.store.protocol import ObjectStore

BATTERY, CHECK = "assessment.hardening", "evasion.defences"
TABLE = "defences.json"


def settings(
    *, epsilon: float, defences: Sequence[str], points: int, epochs: int
) -> dict[str, dict[str, Parameter]]:
    """Returns the operator's parameters, as a plan takes them."""
    return {
        CHECK: {
            "epsilon": epsilon,
            "defences": ", ".join(defences),
            "points": points,
            "epochs": epochs,
        }
    }


def compared(document: dict[str, Any], store: ObjectStore) -> dict[str, Any]:
    """Adds to a sealed run's document what its measurement says of every defence."""
    measurement = measured(document["run"], store)
    found: dict[str, Any] = {"defences": [], "refused": {}}
    if measurement.status is Status.MEASURED:
        found = json.loads(store.get(_digest(measurement, TABLE)))
    return {**document, "detail": measurement.detail, **found}


def measured(run: str, store: ObjectStore) -> Measurement:
    """Returns what a sealed run measured of the defences."""
    found = sealed_run(store, run)
    assert found is not None, "a run that was announced is sealed"
    execution = next(each for each in found[0].executions if each.check == CHECK)
    return Measurement.parse(store.get(execution.measurement))


def lay_out(
    measurement: Measurement, finding: Finding, read: Callable[[Digest], bytes], folder: Path
) -> list[Path]:
    """Writes the table, the picture and the hardened models to a folder; returns the files."""
    if measurement.status is not Status.MEASURED:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for artifact in measurement.artifacts:
        data = read(artifact.digest)
        written.append(folder / artifact.name)
        written[-1].write_bytes(data)
        for picture in pictures(finding, artifact, data):
            written.append(folder / "curve.png")
            written[-1].write_bytes(base64.b64decode(picture.source.partition(",")[2]))
    return written


def _digest(measurement: Measurement, name: str) -> Digest:
    return next(each.digest for each in measurement.artifacts if each.name == name)
