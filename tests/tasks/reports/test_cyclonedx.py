"""The bill of materials of a run: valid to the strict schema, whatever strangers called things."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tasks.domain.bundle import BundleSpec, FileEntry, Subject
from tasks.domain.digest import digest_of
from tasks.domain.estimate import Estimate
from tasks.domain.finding import Decision, Finding, Outcome, Verdict
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.domain.spec import RunPlan
from tasks.intake.bom import read_bom
from tasks.intake.bom_component import MODEL
from tasks.reports.cyclonedx import Inventory, bom_document, render_bom
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import manifest
from tests.tasks.reports.stories import NAMES

REQUIREMENTS = b"onnxruntime==1.20.0\nnumpy>=2\n"
ADVISORY = "onnxruntime 1.20.0 is affected by X-2026-1: a flaw"


def inventory(*, requirements: bytes = REQUIREMENTS, **changed: Any) -> Inventory:
    store = MemoryStore()
    value = manifest()
    value["data"]["training"] = {"path": "data/train.npz"}
    value["claims"] = {"licence": "Apache-2.0"}
    value["model"] |= changed
    paths = ["model/digits.bin", "data/eval.npz", "data/train.npz", "requirements.txt", *NAMES[:3]]
    data = {path: path.encode() for path in paths} | {"requirements.txt": requirements}
    files = tuple(
        FileEntry(path=path, digest=store.put(each).digest, size_bytes=len(each))
        for path, each in data.items()
    )
    subject = Subject(
        spec=BundleSpec.model_validate(value),
        files=files,
        facts={"artifact_format": "onnx", "parameters": 650, "input_shape": "n x 1 x 8 x 8"},
    )
    return Inventory(
        plan=RunPlan(
            bundle=digest_of(b"b"), asset=subject.spec.asset, tier="medium",
            battery="onboarding.standard", battery_digest=digest_of(b"x"), policy="tier.medium",
            policy_digest=digest_of(b"y"), checks=(),
        ),
        subject=subject,
        measurements={each.check: each for each in measurements()},
        findings=(
            finding("provenance.claims", Outcome.PASS),
            finding("provenance.advisories", Outcome.FAIL),
        ),
        decision=Decision(verdict=Verdict.REFUSED, reasons=("because",)),
        read=store.get,
    )  # fmt: skip


def measurements() -> list[Measurement]:
    rate = Estimate(value=0.98, low=0.97, high=0.99, n=797)
    seen = Observation(
        rule="provenance.advisories.vulnerable", severity=Severity.HIGH, detail=ADVISORY
    )
    return [
        Measurement(
            check=check, version=1, status=Status.MEASURED, detail="measured",
            estimates={"accuracy": rate} if check == "provenance.claims" else {},
            observations=(seen,) if check == "provenance.advisories" else (),
        )
        for check in ("provenance.claims", "provenance.advisories")
    ]  # fmt: skip


def finding(check: str, outcome: Outcome) -> Finding:
    return Finding(
        check=check, outcome=outcome, severity=Severity.HIGH, question="Is it so?",
        detail=NAMES[0] * 50,
    )  # fmt: skip


def problem(document: bytes) -> Any:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode())


def test_the_strict_validator_accepts_it_whatever_things_are_called() -> None:
    assert problem(render_bom(inventory())) is None
    for name in NAMES:
        assert (
            problem(render_bom(inventory(name=name, version=name[:200], intended_use=name))) is None
        )
    # The validator is awake: one unknown key is refused.
    broken = bom_document(inventory()) | {"colour": "red"}
    assert problem(json.dumps(broken).encode()) is not None


def test_it_says_what_was_measured() -> None:
    document = bom_document(inventory())
    model = document["metadata"]["component"]
    card = model["modelCard"]
    assert model["hashes"] == [
        {"alg": "SHA-256", "content": digest_of(b"model/digits.bin").removeprefix("sha256:")}
    ]
    assert model["licenses"] == [{"expression": "Apache-2.0"}]
    assert {"name": "proofhouse:parameters", "value": "650"} in model["properties"]
    assert card["modelParameters"]["inputs"] == [{"format": "float32 n x 1 x 8 x 8"}]
    assert card["modelParameters"]["datasets"] == [
        {"ref": "file:data/train.npz"}, {"ref": "file:data/eval.npz"},
    ]  # fmt: skip
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {"type": "accuracy", "value": "0.98",
         "confidenceInterval": {"lowerBound": "0.97", "upperBound": "0.99"}},
    ]  # fmt: skip
    assert "provenance.advisories: fail" in card["considerations"]["technicalLimitations"][0]
    (known,) = document["vulnerabilities"]
    assert known["id"] == "X-2026-1"
    assert known["affects"][0]["ref"] == "package:onnxruntime@1.20.0"
    libraries = {c["name"]: c.get("version") for c in document["components"]
                 if c["type"] == "library"}  # fmt: skip
    assert libraries == {"onnxruntime": "1.20.0", "numpy": None}


def test_equal_runs_give_equal_bytes_and_references_lead_somewhere() -> None:
    assert render_bom(inventory()) == render_bom(inventory())
    assert render_bom(inventory()) != render_bom(inventory(version="2"))
    document = bom_document(inventory())
    known = {item["bom-ref"] for item in document["components"]}
    assert len(known) == len(document["components"])
    assert set(document["dependencies"][0]["dependsOn"]) == known


def test_broken_lists_add_nothing() -> None:
    document = bom_document(inventory(requirements=b"\xff"))
    assert [c for c in document["components"] if c["type"] == "library"] == []
    assert problem(json.dumps(document).encode()) is None


def test_intake_reads_what_is_written_here(tmp_path: Path) -> None:
    bom = read_bom(render_bom(inventory()), place="bom")
    model = next(item for item in bom.components if item.kind == MODEL)
    assert ("accuracy", "0.98") in model.facts
    assert len(bom.components) == 9


@pytest.mark.parametrize("detail", ["", "x is affected by", ADVISORY.replace("affected", "hit")])
def test_other_observations_are_no_vulnerabilities(detail: str) -> None:
    from tasks.intake.advisories import read_vulnerability  # noqa: PLC0415 - one test

    item = Observation(
        rule="provenance.advisories.vulnerable", severity=Severity.LOW, detail=detail
    )
    assert read_vulnerability(item) is None
