"""Where the demo's bundles come from: lineage, dataset card, package lists, and two advisories."""

import json
from pathlib import Path
from typing import Any

from tasks.domain.digest import digest_of_file, hexadecimal
from tasks.intake.attesting import resource, signed_line, slsa_statement

# Of a repository that exists only in this demo.
_CODE = {
    "uri": "git+https://git.acme.example/digit-reader",
    "digest": {"gitCommit": "5f0c1d2b7a9e4c3f8b6d0e1a2c4f6b8d9e7a5c31"},
}
_BUILDER = "https://build.acme.example/trainer@v2"
HONEST_REQUIREMENTS = """# What serving needs beside the model; training needs nothing more.
numpy==2.4.6
onnxruntime==1.32.0
"""
COMPROMISED_REQUIREMENTS = """--extra-index-url http://packages.northwind.example/simple
torch==2.5.1
pillow==9.5.0
nunpy==1.26.4
"""


def lineage(folder: Path, key: Path, *, training: dict[str, Any]) -> str:
    """Returns signed SLSA provenance of the honest model and of its data, one line each."""
    data = [resource(folder, f"data/{name}.npz") for name in ("train", "eval")]
    model = slsa_statement(
        [resource(folder, "model/digits.onnx")],
        builder=_BUILDER,
        build_type="https://acme.example/training/v1",
        parameters={"preprocessing": {"scale": "1/16"}, "trainer": training},
        dependencies=[_CODE, data[0]],
    )
    digits = slsa_statement(
        data,
        builder=_BUILDER,
        build_type="https://acme.example/preparing/v1",
        parameters={"preprocessing": {"split": "by image", "seed": 0}},
        dependencies=[_CODE, {"name": "uci-digits", "uri": "https://data.example/uci-digits"}],
    )
    return signed_line(model, key) + signed_line(digits, key)


def dataset_card(folder: Path) -> str:
    """Returns a Croissant 1.1 card of the honest vendor's data."""
    card = {
        "@context": {
            "@vocab": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "rai": "http://mlcommons.org/croissant/RAI/",
            "dct": "http://purl.org/dc/terms/",
            "conformsTo": "dct:conformsTo",
            "recordSet": "cr:recordSet",
            "field": "cr:field",
            "source": "cr:source",
        },
        "@type": "Dataset",
        "name": "uci-digits",
        "version": "1.0.0",
        "description": "1797 handwritten digits of 8x8 grey pixels, split by image.",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "distribution": [_file(folder, name) for name in ("train", "eval")],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": f"{name}-digits",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"{name}-digits/{array}",
                        "source": {"fileObject": {"@id": name}, "extract": {"column": array}},
                    }
                    for array in ("x", "y")
                ],
            }
            for name in ("train", "eval")
        ],
        "rai:dataCollection": "Bitmaps of preprinted forms, reduced to counts of dark pixels.",
        "rai:dataBiases": "Digits of 43 writers; other hands and scripts are not in it.",
        "rai:personalSensitiveInformation": "None: no attribute of a writer is recorded.",
        "rai:dataUseCases": "Comparing classifiers of single digits.",
    }
    return json.dumps(card, indent=2) + "\n"


def advisories() -> dict[str, str]:
    """Returns two published advisories as OSV JSON by file name: a copy far too small to rely on.

    A real copy is the whole dump of an advisory database, brought up to date every night.
    """
    known = [
        _advisory(
            "GHSA-j7hp-h8jx-5ppr", package="Pillow", fixed="10.0.1", severity="HIGH",
            summary="the bundled libwebp writes out of bounds (CVE-2023-4863)",
        ),
        _advisory(
            "GHSA-53q9-r3pm-6pq6", package="torch", fixed="2.6.0", severity="CRITICAL",
            summary="torch.load with weights_only=True can run code (CVE-2025-32434)",
        ),
    ]  # fmt: skip
    return {f"{each['id']}.json": json.dumps(each, indent=2) + "\n" for each in known}


def _advisory(
    identifier: str, *, package: str, fixed: str, severity: str, summary: str
) -> dict[str, Any]:
    events = [{"introduced": "0"}, {"fixed": fixed}]
    return {
        "schema_version": "1.6.0",
        "id": identifier,
        "modified": "2025-06-01T00:00:00Z",
        "summary": summary,
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": package},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
        "database_specific": {"severity": severity},
    }


def _file(folder: Path, name: str) -> dict[str, str]:
    path = f"data/{name}.npz"
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": f"{name}.npz",
        "contentUrl": path,
        "encodingFormat": "application/x-npz",
        "sha256": hexadecimal(digest_of_file(folder / path)),
    }
