"""A signed manifest of a dataset: its files, a hash tree over its rows, and its terms.

One JSON object: ``attestation`` is a DSSE envelope over an in-toto statement that names files by
SHA-256, each set by the root of its row tree, and the terms (licence, consent, retention);
``leaves`` holds the trees' leaves, which the signed roots vouch for.
"""

import base64
import datetime as dt
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from tasks.domain.bundle import Subject
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.attestation import Signed, parse_attestation, read_signed
from tasks.intake.attesting import signed_line
from tasks.intake.lineage import trust_in
from tasks.intake.row_tree import RowTree, changed_rows, row_tree
from tasks.intake.strict_json import JsonCaps, parse_json
from tasks.intake.trust import TrustedKeys
from tasks.sandbox.protocol import Array

PREDICATE = "https://proofhouse.dev/dataset-manifest/v1"
_CAPS = JsonCaps(most_bytes=16 << 20)
_SHOWN = 20
Text = Annotated[str, Field(max_length=500)]


class Terms(Frozen):
    """Under what the data may be used; empty where nothing is said."""

    licence: Text = ""
    consent: Text = ""
    """On what basis people's data are in it: consent, contract, none needed."""
    retention_until: dt.date | None = None
    source: Text = ""


class Tree(Frozen):
    """What the signature says of one set's rows."""

    rows: int = Field(ge=1)
    rows_per_leaf: int = Field(ge=1)
    root: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Predicate(Frozen):
    """The signed part besides the files."""

    dataset: Text
    version: Text
    terms: Terms = Terms()
    trees: dict[Literal["training", "evaluation"], Tree]


class Manifest(NamedTuple):
    """A manifest as it was read; nothing of it is believed yet."""

    signed: Signed
    files: dict[str, str]
    predicate: Predicate
    leaves: dict[str, bytes]


def write_manifest(
    subject: Subject, data: Mapping[str, tuple[Array, Array]], terms: Terms, key: Path
) -> bytes:
    """Signs the files and rows of a dataset; returns the bytes of the manifest.

    Args:
        subject: The dataset as taken in.
        data: Inputs and labels by role, as decoded.
        terms: What may be done with it.
        key: Private key in PEM (P-256, P-384, P-521).

    Raises:
        SigningError: The key cannot sign.
    """
    trees = {role: row_tree(*rows) for role, rows in data.items()}
    paths = {dataset.path for dataset in subject.datasets}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": file.path, "digest": {"sha256": hexadecimal(file.digest)}}
            for file in subject.files
            if file.path in paths
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "dataset": subject.spec.model.name,
            "version": subject.spec.model.version,
            "terms": terms.model_dump(mode="json"),
            "trees": {
                role: {"rows": tree.rows, "rows_per_leaf": tree.rows_per_leaf, "root": tree.root}
                for role, tree in trees.items()
            },
        },
    }
    document = {
        "attestation": json.loads(signed_line(statement, key)),
        "leaves": {role: base64.b64encode(tree.leaves).decode() for role, tree in trees.items()},
    }
    return json.dumps(document).encode() + b"\n"


def read_manifest(data: bytes, *, place: str) -> Manifest:
    """Reads a manifest; the signature is not verified here.

    Raises:
        InvalidInputError: It is none.
    """
    value = parse_json(data, place=place, caps=_CAPS)
    if not isinstance(value, dict) or set(value) != {"attestation", "leaves"}:
        raise InvalidInputError(f"{place} is no dataset manifest (attestation and leaves).")
    [signed] = read_signed(json.dumps(value["attestation"]).encode(), place=place)
    statement = parse_attestation(signed.payload, place=place)
    if statement.predicate_type != PREDICATE:
        raise InvalidInputError(f"{place} attests {statement.predicate_type}, not a dataset.")
    try:
        predicate = Predicate.model_validate(json.loads(signed.payload)["predicate"])
        leaves = {
            str(role): base64.b64decode(text, validate=True)
            for role, text in value["leaves"].items()
        }
    except (ValidationError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise InvalidInputError(f"{place} is no dataset manifest: {str(error)[:300]}") from error
    files = {item.name: next(iter(item.sha256()), "") for item in statement.subjects}
    return Manifest(signed, files, predicate, leaves)


def manifest_observations(
    data: bytes,
    subject: Subject,
    rows: Mapping[str, tuple[Array, Array]],
    trusted: TrustedKeys,
    *,
    path: str,
    today: dt.date,
) -> Iterator[Observation]:
    """Yields who signed the dataset, which rows and files differ from it, and what terms it has.

    Args:
        data: The manifest's bytes.
        subject: What was taken in.
        rows: Inputs and labels by role, as decoded.
        trusted: Whose signatures count.
        path: Where the manifest lies.
        today: For the retention.
    """
    try:
        manifest = read_manifest(data, place=path)
    except InvalidInputError as error:
        yield _observed("unreadable", Severity.MEDIUM, error.message, path)
        return
    trust = trust_in(manifest.signed, subject.spec.vendor.name, trusted)
    if trust.rule:
        yield _observed(trust.rule, trust.severity, trust.problem, path)
    problems = [
        *_row_problems(manifest, rows, path),
        *_file_problems(manifest, subject, rows, path),
    ]
    yield from problems
    yield from _term_problems(manifest.predicate.terms, path, today)
    if trust.signer and not problems:
        told = ", ".join(f"{tree.rows} {role} rows" for role, tree in _trees(manifest))
        yield _observed("verified", Severity.INFO, f"{told} as signed by {trust.signer}", path)


def _trees(manifest: Manifest) -> list[tuple[str, Tree]]:
    return [(str(role), tree) for role, tree in sorted(manifest.predicate.trees.items())]


def _row_problems(
    manifest: Manifest, rows: Mapping[str, tuple[Array, Array]], path: str
) -> Iterator[Observation]:
    for role, tree in _trees(manifest):
        if role not in rows:
            detail = f"the manifest signs {role} rows, none came that can be read"
            yield _observed("set_missing", Severity.MEDIUM, detail, path)
            continue
        found = row_tree(*rows[role], rows_per_leaf=tree.rows_per_leaf)
        if found.root != tree.root:
            signed = RowTree(tree.rows, tree.rows_per_leaf, manifest.leaves.get(role, b""))
            yield _observed("rows_changed", Severity.HIGH, _told(role, signed, tree, found), path)
    for role in sorted(set(rows) - set(manifest.predicate.trees)):
        detail = f"{role} rows came that the manifest does not sign"
        yield _observed("set_unsigned", Severity.MEDIUM, detail, path)


def _told(role: str, signed: RowTree, tree: Tree, found: RowTree) -> str:
    counts = f"{found.rows} {role} rows came, {tree.rows} were signed"
    if signed.root != tree.root:
        return f"{counts}, and they differ; which ones cannot be told, the leaves are not signed"
    ranges = changed_rows(signed, found)
    places = ", ".join(
        str(first) if behind == first + 1 else f"{first} to {behind - 1}"
        for first, behind in ranges[:_SHOWN]
    )
    more = f" and {len(ranges) - _SHOWN} more ranges" if len(ranges) > _SHOWN else ""
    return f"{counts}; other than signed are rows {places}{more} (counted from 0)"


def _file_problems(
    manifest: Manifest, subject: Subject, rows: Mapping[str, tuple[Array, Array]], path: str
) -> Iterator[Observation]:
    """A file may be written anew with the same rows; that is noted and no harm."""
    for dataset in subject.datasets:
        signed = manifest.files.get(dataset.path)
        if signed is not None and signed != hexadecimal(dataset.source):
            severity = Severity.LOW if dataset.role in rows else Severity.HIGH
            detail = f"{dataset.path} has other bytes than were signed"
            yield _observed("file_changed", severity, detail, path)


def _term_problems(terms: Terms, path: str, today: dt.date) -> Iterator[Observation]:
    if terms.retention_until is not None and terms.retention_until < today:
        detail = f"the data were to be deleted by {terms.retention_until.isoformat()}"
        yield _observed("retention_expired", Severity.MEDIUM, detail, path)
    for field in ("licence", "consent", "retention_until", "source"):
        if not getattr(terms, field):
            detail = f"the manifest does not state {field.replace('_', ' ')}"
            yield _observed(f"no_{field}", Severity.LOW, detail, path)


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.rows.{rule}", severity=severity, detail=detail[:2000], location=location
    )


def decoded_rows(subject: Subject, read: Any) -> dict[str, tuple[Array, Array]]:
    """Returns inputs and labels by role of every set that could be decoded.

    Args:
        subject: What was taken in.
        read: Returns the bytes of a digest, as a store does.
    """
    import safetensors.numpy  # noqa: PLC0415 - beside what needs it

    found = {}
    for dataset in subject.datasets:
        if dataset.digest is not None:
            tensors = safetensors.numpy.load(read(dataset.digest))
            found[str(dataset.role)] = (tensors["inputs"], tensors["labels"])
    return found
