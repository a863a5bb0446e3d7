"""Writes a Croissant 1.1 card of a dataset that was taken in: files with digests, sets, terms.

The other direction of ``croissant``: what is written here reads there without a complaint.
"""

import json
from collections.abc import Mapping
from typing import Any

from tasks.domain.bundle import Subject
from tasks.domain.digest import hexadecimal
from tasks.intake.dataset_manifest import Terms
from tasks.sandbox.protocol import Array

CONFORMS = "http://mlcommons.org/croissant/1.1"
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "recordSet": "cr:recordSet",
    "field": "cr:field",
    "source": "cr:source",
    "fileObject": "cr:fileObject",
    "extract": "cr:extract",
    "column": "cr:column",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "sha256": "sc:sha256",
}
_FORMATS = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/vnd.apache.parquet",
}


def croissant_card(
    subject: Subject, rows: Mapping[str, tuple[Array, Array]], terms: Terms
) -> bytes:
    """Returns the card as JSON-LD.

    Args:
        subject: The dataset as taken in.
        rows: Inputs and labels by role, as decoded.
        terms: Licence, consent and source; what is empty is left out.
    """
    model, data = subject.spec.model, subject.spec.data
    sizes = {file.path: file for file in subject.files}
    card: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": model.name,
        "version": model.version,
        "description": model.intended_use or f"Labelled rows of {model.name}.",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": dataset.path,
                "name": dataset.path.rpartition("/")[2],
                "contentUrl": dataset.path,
                "contentSize": f"{sizes[dataset.path].size_bytes} B",
                "encodingFormat": _format(dataset.path),
                "sha256": hexadecimal(dataset.source),
            }
            for dataset in subject.datasets
        ],
        "recordSet": [
            _record_set(dataset.role, dataset.path, rows[dataset.role], getattr(data, dataset.role))
            for dataset in subject.datasets
            if dataset.role in rows
        ],
    }
    stated = {
        "license": terms.licence,
        "rai:personalSensitiveInformation": terms.consent,
        "rai:dataCollection": terms.source,
    }
    return json.dumps(card | {key: text for key, text in stated.items() if text}, indent=1).encode()


def _record_set(role: str, path: str, rows: tuple[Array, Array], named: Any) -> dict[str, Any]:
    inputs, labels = rows
    fields: tuple[tuple[str, str, str, list[int]], ...] = (
        ("inputs", named.inputs, "sc:Float", list(inputs.shape[1:])),
        ("labels", named.labels, "sc:Float" if labels.dtype.kind == "f" else "sc:Integer", []),
    )
    return {
        "@type": "cr:RecordSet",
        "@id": role,
        "name": role,
        "description": f"{len(labels)} labelled rows",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{role}/{name}",
                "name": name,
                "description": f"values of shape {shape}" if shape else "one value a row",
                "dataType": kind,
                "source": {"fileObject": {"@id": path}, "extract": {"column": column}},
            }
            for name, column, kind, shape in fields
        ],
    }


def _format(path: str) -> str:
    known = (kind for suffix, kind in _FORMATS.items() if path.lower().endswith(suffix))
    return next(known, "application/octet-stream")
