"""The check gathers what intake found, and judges nothing."""

from pathlib import Path

import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.lab import Lab
from tasks.checks.provenance.manifest import bom_state, measure, signature_state
from tasks.domain.bundle import BundleSpec, ModelSpec, Subject, Vendor
from tasks.domain.measurement import Observation, Status
from tasks.domain.severity import Severity
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import make_bundle, take_in

SPEC = BundleSpec(
    schema_="proofhouse.bundle/1",
    vendor=Vendor(name="Acme", contact="a@acme.example"),
    model=ModelSpec(name="m", version="1", task="regression", artifact="m.onnx"),
)


def observation(rule: str, severity: Severity = Severity.INFO) -> Observation:
    return Observation(rule=rule, severity=severity, detail="because")


def bench(subject: Subject, workspace: Path) -> Lab:
    return Lab(
        subject=subject,
        store=MemoryStore(),
        sandbox=DirectSandbox(),
        workspace=workspace,
        parameters={},
        seed=0,
    )


def test_a_bare_bundle_is_measured_with_what_is_missing(tmp_path: Path) -> None:
    subject = take_in(make_bundle(tmp_path / "b"), tmp_path / "w")
    with bench(subject, tmp_path) as lab:
        measured = measure(lab)

    assert measured.status is Status.MEASURED
    assert measured.observations == subject.observations
    assert measured.facts["signature"] == "absent"
    assert measured.facts["bom"] == "absent"
    assert measured.facts["documents"] == "none"
    assert measured.facts["files"] == 3
    assert "2 of 5 observations matter" in measured.detail


def test_observations_of_other_families_stay_out(tmp_path: Path) -> None:
    found = (observation("data.one_class", Severity.HIGH), observation("provenance.bom.absent"))
    with bench(Subject(spec=SPEC, files=(), observations=found), tmp_path) as lab:
        assert [item.rule for item in measure(lab).observations] == ["provenance.bom.absent"]


def test_equal_subjects_give_equal_bytes(tmp_path: Path) -> None:
    subject = take_in(make_bundle(tmp_path / "b"), tmp_path / "w")
    assert (
        measure(bench(subject, tmp_path)).canonical()
        == measure(bench(Subject.parse(subject.canonical()), tmp_path)).canonical()
    )


STATES = {
    "signature.valid": ("valid", "unknown"),
    "signature.invalid": ("invalid", "unknown"),
    "bom.matches": ("unknown", "matches"),
    "bom.unreadable": ("unknown", "unreadable"),
    "bom.digest_mismatch": ("unknown", "contradicts"),
    "card.incomplete": ("unknown", "unknown"),
}


@pytest.mark.parametrize("rule", STATES)
def test_states_are_read_from_rules(rule: str) -> None:
    found = (observation(f"provenance.{rule}"),)
    assert (signature_state(found), bom_state(found)) == STATES[rule]


def test_the_entry_is_in_the_catalog() -> None:
    entry = Catalog().check("provenance.manifest")
    assert entry.needs.target == "none"
    assert entry.version == 1
