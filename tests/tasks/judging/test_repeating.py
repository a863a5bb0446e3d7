"""Failures of repeated checks are rationed; nothing else is touched."""

import pytest

from tasks.catalog.reading import shared_catalog
from tasks.domain.finding import Finding, Outcome
from tasks.domain.measurement import Measurement, Status
from tasks.domain.severity import Severity
from tasks.judging.gates import judge
from tasks.judging.repeating import rationed
from tasks.statistics.intervals import binomial
from tasks.statistics.wealth import spend

ENTRY = shared_catalog().check("evasion.linf_robust_accuracy")


def finding(successes: int, n: int = 400) -> Finding:
    """Judged at the gate's threshold of 0.3, where more is better."""
    measurement = Measurement(
        check=ENTRY.id,
        version=ENTRY.version,
        status=Status.MEASURED,
        detail="measured",
        estimates={"robust_accuracy": binomial(successes, n)},
    )
    return judge(ENTRY, measurement)


def test_a_narrow_failure_asks_a_person_and_a_clear_one_stands() -> None:
    narrow, clear = finding(98), finding(40)
    assert (narrow.outcome, clear.outcome) == (Outcome.FAIL, Outcome.FAIL)
    tenth = spend(10)
    doubted = rationed(narrow, ENTRY, tenth)
    assert doubted.outcome is Outcome.UNDECIDED
    assert "may be a false alarm with chance 0.0003 at most" in doubted.detail
    assert (doubted.estimate, doubted.evidence) == (narrow.estimate, narrow.evidence)
    stands = rationed(clear, ENTRY, tenth)
    assert stands.outcome is Outcome.FAIL
    assert "It holds at the 0.0003" in stands.detail


@pytest.mark.parametrize("told", [finding(300), finding(120)], ids=["pass", "undecided"])
def test_what_is_no_failure_is_not_touched(told: Finding) -> None:
    assert told.outcome is not Outcome.FAIL
    assert rationed(told, ENTRY, 1e-6) == told


def test_the_first_test_and_observations_are_not_touched() -> None:
    assert rationed(finding(98), ENTRY, None) == finding(98)
    scan = shared_catalog().check("artifact.scan")
    seen = Finding(
        check="artifact.scan",
        outcome=Outcome.FAIL,
        severity=Severity.HIGH,
        question="Is it hostile?",
        detail="it is",
    )
    assert rationed(seen, scan, 1e-6) == seen
