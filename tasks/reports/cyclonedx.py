"""The bill of materials of a run: what came, what was measured of it, and what is known against it.

CycloneDX 1.6 ML-BOM. Made from sealed evidence alone, without a clock: equal runs give equal bytes.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tasks.domain.bundle import FileEntry, Subject
from tasks.domain.digest import Digest, hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Decision, Finding, Outcome
from tasks.domain.measurement import Measurement
from tasks.domain.spec import RunPlan
from tasks.intake.advisories import read_vulnerability
from tasks.intake.dependency import Dependency
from tasks.intake.licences import expression_problem
from tasks.intake.provenance import MOST_DOCUMENT_BYTES
from tasks.intake.requirements import is_dependency_file, read_dependencies

SPEC_VERSION = "1.6"
_NAMESPACE = uuid.UUID("4d6f1f0a-7a55-5d0e-9a8a-2d1c6d1b7e21")
_MOST_TEXT = 1_000
_CLAIMS, _ADVISORIES = "provenance.claims", "provenance.advisories"


class Inventory(NamedTuple):
    """What the bill of materials is made from.

    ``read`` returns the bytes of a file of the bundle by digest.
    """

    plan: RunPlan
    subject: Subject
    measurements: Mapping[str, Measurement]
    findings: tuple[Finding, ...]
    decision: Decision
    read: Callable[[Digest], bytes]


def render_bom(inventory: Inventory) -> bytes:
    """Returns the document as JSON text that the strict schema of CycloneDX accepts."""
    return (json.dumps(bom_document(inventory), indent=2, sort_keys=True) + "\n").encode()


def bom_document(inventory: Inventory) -> dict[str, Any]:
    """Returns the document."""
    packages = _packages(inventory)
    components = [*_files(inventory.subject), *(_package(item) for item in packages.values())]
    body: dict[str, Any] = {
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "proofhouse"}]},
            "component": _model(inventory),
            "properties": _run_properties(inventory),
        },
        "components": components,
        "dependencies": [
            {"ref": "model", "dependsOn": sorted(item["bom-ref"] for item in components)},
        ],
        "vulnerabilities": list(_vulnerabilities(inventory, packages)),
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(body, sort_keys=True))
    head = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
    }
    return head | body


def _model(inventory: Inventory) -> dict[str, Any]:
    subject = inventory.subject
    model, claims = subject.spec.model, subject.spec.claims
    artifact = subject.file(model.artifact) if model.artifact else None
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": model.name,
        "version": model.version,
        "supplier": {"name": subject.spec.vendor.name},
        "modelCard": _card(inventory),
        "properties": [
            {"name": f"proofhouse:{name}", "value": str(value)}
            for name, value in sorted(subject.facts.items())
        ],
    }
    if artifact is not None:
        component["hashes"] = [_hash(artifact)]
    if claims.licence:
        known = not expression_problem(claims.licence)
        component["licenses"] = [
            {"expression": claims.licence} if known else {"license": {"name": claims.licence}}
        ]
    return component


def _card(inventory: Inventory) -> dict[str, Any]:
    model, facts = inventory.subject.spec.model, inventory.subject.facts
    parameters: dict[str, Any] = {"task": model.task}
    if model.input:
        shape = facts.get("input_shape") or " x ".join(map(str, model.input.shape))
        parameters["inputs"] = [{"format": f"{model.input.dtype} {shape}"}]
    if model.output:
        classes = f", {model.output.classes} classes" if model.output.classes else ""
        parameters["outputs"] = [{"format": model.output.kind + classes}]
    data = inventory.subject.spec.data
    datasets = [
        {"ref": _ref(each.path)} for each in (data.training, data.evaluation) if each is not None
    ]
    if datasets:
        parameters["datasets"] = datasets
    considerations: dict[str, Any] = {"technicalLimitations": list(_limitations(inventory))}
    if model.intended_use:
        considerations["useCases"] = [_cut(model.intended_use)]
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": list(_metrics(inventory))},
        "considerations": considerations,
    }


def _metrics(inventory: Inventory) -> Iterator[dict[str, Any]]:
    """Every rate that was measured, with its interval; accuracy under its own name first."""
    ordered = sorted(inventory.measurements.items(), key=lambda item: (item[0] != _CLAIMS, item[0]))
    for check, measurement in ordered:
        for name, estimate in sorted(measurement.estimates.items()):
            yield _metric(name if check == _CLAIMS else f"{check}: {name}", estimate)


def _metric(kind: str, estimate: Estimate) -> dict[str, Any]:
    return {
        "type": kind,
        "value": f"{estimate.value:.6g}",
        "confidenceInterval": {
            "lowerBound": f"{estimate.low:.6g}",
            "upperBound": f"{estimate.high:.6g}",
        },
    }


def _limitations(inventory: Inventory) -> Iterator[str]:
    """What failed or stayed open is what a reader must know; what passed needs no warning."""
    settled = {Outcome.PASS, Outcome.NOT_APPLICABLE}
    for finding in inventory.findings:
        if finding.outcome not in settled:
            yield _cut(f"{finding.check}: {finding.outcome}. {finding.detail}")


def _files(subject: Subject) -> Iterator[dict[str, Any]]:
    data = subject.spec.data
    roles = {
        each.path: role
        for role, each in (("training", data.training), ("evaluation", data.evaluation))
        if each is not None
    }
    for file in subject.files:
        if file.path == subject.spec.model.artifact:
            continue
        component: dict[str, Any] = {
            "type": "data" if file.path in roles else "file",
            "bom-ref": _ref(file.path),
            "name": file.path,
            "hashes": [_hash(file)],
        }
        if file.path in roles:
            component["data"] = [{"type": "dataset", "name": roles[file.path]}]
        yield component


def _packages(inventory: Inventory) -> dict[str, Dependency]:
    """Every declared package, by reference; read again from the bundle's own files."""
    named = inventory.subject.spec.documents.requirements
    found: dict[str, Dependency] = {}
    for file in inventory.subject.files:
        listed = file.path == named or is_dependency_file(file.path)
        if not listed or file.size_bytes > MOST_DOCUMENT_BYTES:
            continue
        try:
            listing = read_dependencies(inventory.read(file.digest), file.path)
        except InvalidInputError:
            continue  # a finding of its own; here it only has nothing to add
        for item in listing.dependencies:
            found.setdefault(_package_ref(item.name, item.pinned), item)
    return found


def _package(item: Dependency) -> dict[str, Any]:
    component = {
        "type": "library",
        "bom-ref": _package_ref(item.name, item.pinned),
        "name": item.name,
        "purl": f"pkg:pypi/{item.name}" + (f"@{item.pinned}" if item.pinned else ""),
    }
    return component | ({"version": item.pinned} if item.pinned else {})


def _vulnerabilities(
    inventory: Inventory, packages: Mapping[str, Dependency]
) -> Iterator[dict[str, Any]]:
    measurement = inventory.measurements.get(_ADVISORIES)
    for item in measurement.observations if measurement else ():
        known = read_vulnerability(item)
        if known is None:
            continue
        reference = _package_ref(known.package, known.version)
        entry: dict[str, Any] = {
            "id": known.advisory,
            "ratings": [{"severity": item.severity.value, "method": "other"}],
            "description": _cut(item.detail),
        }
        if reference in packages:
            entry["affects"] = [{"ref": reference, "versions": [{"version": known.version}]}]
        yield entry


def _run_properties(inventory: Inventory) -> list[dict[str, str]]:
    stated = {
        "run": inventory.plan.run,
        "tier": inventory.plan.tier,
        "battery": inventory.plan.battery,
        "verdict": inventory.decision.verdict.value,
        **{f"finding:{each.check}": each.outcome.value for each in inventory.findings},
    }
    return [{"name": f"proofhouse:{name}", "value": value} for name, value in stated.items()]


def _hash(file: FileEntry) -> dict[str, str]:
    return {"alg": "SHA-256", "content": hexadecimal(file.digest)}


def _ref(path: str) -> str:
    return f"file:{path}"


def _package_ref(name: str, version: str) -> str:
    return f"package:{name}@{version}"


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"
