"""The response to poisoned data: rows out, the rest ready to train on, and where to fall back to.

Everything rests on a sealed run: the rows are those that its evidence names, cut out of the very
bytes that it measured. What comes out is stored by digest and signed, so that a later training can
be held to it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from securesystemslib.signer import Signer

from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import Verdict
from tasks.domain.frozen import canonical_json
from tasks.domain.measurement import Measurement, Status
from tasks.domain.run import RunRecord
from tasks.inventory.rows import Run
from tasks.ledger.envelope import sign_envelope
from tasks.ledger.statement import PAYLOAD_TYPE, STATEMENT_TYPE
from tasks.sandbox.protocol import Array
from tasks.store.protocol import ObjectStore

CHECK, APART = "poisoning.trigger_mining", "poisoning.spectral_signature"
"""Whose evidence names rows: those that teach a trigger, else those that lie apart."""
PREDICATE = "https://proofhouse.dev/quarantine/v1"
QUARANTINES = "quarantines/"
"""Claims by run: each leads to the signed statement about its rows."""


class Quarantine(NamedTuple):
    """The training rows of a run in two parts, and what its evidence says of the cut."""

    rows: NDArray[np.int64]
    """Places of the rows that are out, counted from 0 in the decoded data."""
    clean: dict[str, Array]
    """``inputs`` and ``labels`` of the rows that stay."""
    gone: dict[str, Array]
    measurement: Digest
    compared: dict[str, dict[str, float]]
    """Value and interval of each number before and after, as measured in the run."""


def quarantine(record: RunRecord, store: ObjectStore) -> Quarantine:
    """Cuts the rows that a sealed run found to be poison out of its training data.

    Rows that teach a trigger come first, because leaving them out was tried; where none were
    found, or nobody searched, rows that lie apart from their class.

    Raises:
        InvalidInputError: The run asked neither question, found no rows, or has no such data.
    """
    digest, measurement, rows = _named(record, store)
    data = _training(Subject.parse(store.get(Digest(record.subject))), store)
    out = np.zeros(len(data["labels"]), np.bool_)
    out[rows] = True
    return Quarantine(
        rows,
        {name: np.ascontiguousarray(part[~out]) for name, part in data.items()},
        {name: np.ascontiguousarray(part[out]) for name, part in data.items()},
        digest,
        {
            name: {"value": one.value, "low": one.low, "high": one.high}
            for name, one in measurement.estimates.items()
            if name.startswith(("accuracy_", "trigger_"))
        },
    )


def _named(record: RunRecord, store: ObjectStore) -> tuple[Digest, Measurement, NDArray[np.int64]]:
    """Returns the measurement that names rows, and the rows."""
    asked = {run.check: Digest(run.measurement) for run in record.executions}
    found = [check for check in (CHECK, APART) if check in asked]
    if not found:
        raise InvalidInputError(
            f"{record.run} did not ask {CHECK}. Review the data first: proofhouse review-dataset."
        )
    said = []
    for check in found:
        measurement = Measurement.parse(store.get(asked[check]))
        rows = _rows(measurement, store)
        if measurement.status is Status.MEASURED and len(rows):
            return asked[check], measurement, rows
        said.append(measurement.detail)
    raise InvalidInputError(f"{record.run} found no rows to quarantine: {' '.join(said)}")


def _rows(measurement: Measurement, store: ObjectStore) -> NDArray[np.int64]:
    """Returns the rows that a measurement's evidence names; none when it does not list all."""
    named = {artifact.name: artifact.digest for artifact in measurement.artifacts}
    if "quarantine.safetensors" in named:
        return _tensors(store, named["quarantine.safetensors"])["rows"].astype(np.int64)
    if measurement.check != APART or "flagged.json" not in named:
        return np.zeros(0, np.int64)
    listed = [int(one["row"]) for one in json.loads(store.get(Digest(named["flagged.json"])))]
    whole = measurement.facts.get("flagged_rows") == len(listed)
    return np.sort(np.array(listed if whole else [], np.int64))


def rollback_to(record: RunRecord, runs: Iterable[Run]) -> str | None:
    """Returns the other version of the asset that was accepted last, or None.

    Which came last says the log, whose order no clock can turn round.

    Args:
        record: The run whose data are bad.
        runs: What the inventory knows.
    """
    name = record.asset.rpartition("@")[0]
    good = [
        run
        for run in runs
        if run.asset.rpartition("@")[0] == name
        and run.asset != record.asset
        and run.verdict in {Verdict.ACCEPTED, Verdict.ACCEPTED_WITH_CONDITIONS}
    ]
    return max(good, key=lambda run: run.ledger_index).asset if good else None


def statement(
    record: RunRecord, cut: Quarantine, store: ObjectStore, *, rollback: str | None
) -> bytes:
    """Stores both parts of the data; returns the in-toto statement about them, to be signed.

    Its subjects are the rows that stay and the rows that are out, by digest.
    """
    clean = store.put(safetensors.numpy.save(cut.clean)).digest
    gone = store.put(safetensors.numpy.save(cut.gone)).digest
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
                for name, digest in (("clean", clean), ("quarantined", gone))
            ],
            "predicateType": PREDICATE,
            "predicate": {
                "run": record.run,
                "asset": record.asset,
                "measurement": cut.measurement,
                "rows": cut.rows.tolist(),
                "compared": cut.compared,
                "rollback": rollback,
                "recipe": recipe(record, cut, clean),
            },
        }
    )


def keep(
    record: RunRecord, cut: Quarantine, store: ObjectStore, *, signer: Signer, rollback: str | None
) -> Digest:
    """Signs what was cut out of a run's data and claims it for the run; returns the envelope."""
    told = statement(record, cut, store, rollback=rollback)
    envelope = sign_envelope(told, payload_type=PAYLOAD_TYPE, signer=signer)
    digest = store.put(envelope).digest
    store.claim(QUARANTINES + record.run, digest.encode())
    return digest


def recipe(record: RunRecord, cut: Quarantine, clean: str) -> dict[str, Any]:
    """Returns what to do next, step by step, with the digests that each step needs."""
    return {
        "train_on": clean,
        "rows": len(cut.clean["labels"]),
        "left_out": len(cut.rows),
        "steps": [
            "train again with the recipe of the model that learnt from these data",
            "hand the new model in as a bundle and onboard it; the backdoor scan must pass",
            f"sign the cleaned data (proofhouse manifest) as the version after {record.asset}",
            "ask whoever supplied the quarantined rows where they came from",
        ],
    }


def lay_out(cut: Quarantine, envelope: bytes, told: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes both parts, the list and the signed statement to a folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "quarantine.json": json.dumps(told, indent=1).encode() + b"\n",
        "quarantine.dsse.json": envelope,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    for name, part in (("clean.npz", cut.clean), ("quarantined.npz", cut.gone)):
        np.savez_compressed(folder / name, x=part["inputs"], y=part["labels"])
    return [folder / name for name in (*files, "clean.npz", "quarantined.npz")]


def _training(subject: Subject, store: ObjectStore) -> dict[str, Array]:
    dataset = subject.dataset("training")
    if dataset is None or dataset.digest is None:
        raise InvalidInputError(f"{subject.spec.asset} has no training data that can be read.")
    return _tensors(store, dataset.digest)


def _tensors(store: ObjectStore, digest: str) -> dict[str, Array]:
    tensors: dict[str, Array] = safetensors.numpy.load(store.get(Digest(digest)))
    return tensors
