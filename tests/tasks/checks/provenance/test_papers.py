"""The checks share out what intake found, weigh gaps by tier, and judge nothing."""

from pathlib import Path

import pytest

from tasks.catalog.papers import STANDARD
from tasks.catalog.reading import Catalog
from tasks.checks.lab import Lab, NotApplicable, NotAvailable
from tasks.checks.provenance.papers import SHARES
from tasks.checks.running import check_function
from tasks.domain.bundle import BundleSpec, ModelSpec, SignatureSpec, Subject, Vendor
from tasks.domain.measurement import Measurement, Observation, Status
from tasks.domain.severity import Severity
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.tasks.intake.bundles import make_bundle, take_in

SPEC = BundleSpec(
    schema_="proofhouse.bundle/1",
    vendor=Vendor(name="Acme", contact="a@acme.example"),
    model=ModelSpec(name="m", version="1", task="regression", artifact="m.onnx"),
    signature=SignatureSpec(path="model.sig"),
)
CHECKS = (*SHARES, "provenance.manifest")
DECLARED = "dependencies.declared"


def observation(rule: str, severity: Severity = Severity.INFO) -> Observation:
    return Observation(rule=f"provenance.{rule}", severity=severity, detail=f"because of {rule}")


def measured(
    check: str, workspace: Path, *rules: str | Observation, rigour: int = 2
) -> Measurement:
    found = tuple(observation(rule) if isinstance(rule, str) else rule for rule in rules)
    return on(Subject(spec=SPEC, files=(), observations=found), check, workspace, rigour)


def on(subject: Subject, check: str, workspace: Path, rigour: int = 2) -> Measurement:
    lab = Lab(
        subject=subject,
        store=MemoryStore(),
        sandbox=DirectSandbox(),
        workspace=workspace,
        parameters={"rigour": rigour},
        seed=0,
    )
    with lab:
        return check_function(check)(lab)


ONE_OF_EACH = (
    "signature.valid", "bom.matches", DECLARED, "advisories.source", "lineage.verified",
    "croissant.matches", "card.no_contact", "model_card.absent", "datasheet.no_uses",
    "documents.contradiction", "manifest.unlisted_file", "questionnaire.unanswered", "new.rule",
)  # fmt: skip


def test_each_observation_belongs_to_one_check(tmp_path: Path) -> None:
    apart = Observation(rule="data.one_class", severity=Severity.HIGH, detail="of another family")
    told: list[str] = []
    for check in CHECKS:
        found = measured(check, tmp_path, *ONE_OF_EACH, apart)
        assert found.check == check
        assert found.status is Status.MEASURED
        told += [item.rule for item in found.observations]
    assert sorted(told) == sorted(f"provenance.{rule}" for rule in ONE_OF_EACH)


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_is_in_the_catalog_and_in_every_battery(check: str) -> None:
    catalog = Catalog()
    entry = catalog.check(check)
    assert entry.needs.target == "none"
    for battery, rigour in (("quick", 1), ("standard", 2), ("thorough", 3)):
        chosen = {strength.check: strength for strength in catalog.battery(battery).checks}[check]
        assert chosen.parameters.get("rigour", entry.parameters["rigour"].default) == rigour


def test_equal_subjects_give_equal_bytes(tmp_path: Path) -> None:
    subject = take_in(make_bundle(tmp_path / "b"), tmp_path / "w")
    again = Subject.parse(subject.canonical())
    for check in ("provenance.manifest", "provenance.documents", "provenance.signature"):
        assert on(subject, check, tmp_path).canonical() == on(again, check, tmp_path).canonical()


def test_gaps_weigh_by_tier_and_contradictions_do_not(tmp_path: Path) -> None:
    lie = observation("documents.contradiction", Severity.HIGH)
    worst = [
        {
            item.rule.rpartition(".")[2]: item.severity.value
            for item in measured(
                "provenance.documents", tmp_path, "model_card.absent", lie, rigour=rigour
            ).observations
        }
        for rigour in (1, 2, 3)
    ]
    assert [each["absent"] for each in worst] == ["low", "medium", "high"]
    assert [each["contradiction"] for each in worst] == ["high", "high", "high"]


def test_every_gap_of_the_catalog_belongs_to_a_check() -> None:
    known = {name for names in SHARES.values() for name in names} | {"questionnaire"}
    assert {gap.rule.split(".")[1] for gap in Catalog().papers(STANDARD).gaps} <= known


STATES = {
    "signature.valid": ("provenance.signature", "signature", "valid"),
    "signature.invalid": ("provenance.signature", "signature", "invalid"),
    "signature.wrong_identity": ("provenance.signature", "signature", "wrong_identity"),
    "signature.expired": ("provenance.signature", "signature", "expired"),
    "signature.other": ("provenance.signature", "signature", "unknown"),
    "bom.matches": ("provenance.bom", "bom", "matches"),
    "bom.absent": ("provenance.bom", "bom", "absent"),
    "bom.digest_mismatch": ("provenance.bom", "bom", "contradicts"),
    "lineage.verified": ("provenance.lineage", "lineage", "verified"),
    "lineage.unsigned": ("provenance.lineage", "lineage", "not believed"),
}


@pytest.mark.parametrize("rule", STATES)
def test_states_are_read_from_rules(tmp_path: Path, rule: str) -> None:
    check, fact, state = STATES[rule]
    assert measured(check, tmp_path, rule).facts[fact] == state


def test_no_advisories_are_not_a_pass(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="no source"):
        measured("provenance.advisories", tmp_path, DECLARED, "advisories.no_source")
    found = measured("provenance.advisories", tmp_path, DECLARED, "advisories.source")
    assert found.facts["vulnerabilities"] == 0


def test_without_packages_there_is_no_question(tmp_path: Path) -> None:
    for check in ("provenance.advisories", "provenance.dependencies"):
        with pytest.raises(NotApplicable):
            measured(check, tmp_path, "dependencies.absent", "advisories.no_source")
    broken = observation("dependencies.unreadable", Severity.MEDIUM)
    found = measured("provenance.dependencies", tmp_path, broken)
    assert "1 of 1" in found.detail
