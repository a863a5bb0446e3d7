from pathlib import Path

import pytest

from tasks.catalog.reading import Catalog
from tasks.checks.governance.vendor import measure
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.judging.gates import judge
from tests.tasks.checks.benches import lab

CASES = {
    "nothing": ((), Outcome.PASS, Severity.INFO),
    "suspended": ((("suspended", Severity.CRITICAL),), Outcome.FAIL, Severity.CRITICAL),
    "foreign key": ((("foreign_key", Severity.HIGH),), Outcome.FAIL, Severity.HIGH),
    "unbound key": ((("unbound_key", Severity.MEDIUM),), Outcome.FAIL, Severity.MEDIUM),
}


@pytest.mark.parametrize("name", CASES)
def test_the_register_decides(name: str, tmp_path: Path) -> None:
    rules, outcome, severity = CASES[name]
    seen = tuple(
        Observation(rule=f"governance.vendor.{rule}", severity=grade, detail="key leaked")
        for rule, grade in rules
    )
    other = Observation(rule="provenance.bom.absent", severity=Severity.HIGH, detail="no bom")
    with lab("governance.vendor", tmp_path, observations=(*seen, other)) as bench:
        measurement = measure(bench)
    finding = judge(Catalog().check("governance.vendor"), measurement)
    assert (finding.outcome, finding.severity) == (outcome, severity)
    assert measurement.observations == seen
    assert bool(measurement.facts["refused"]) is (name == "suspended")
